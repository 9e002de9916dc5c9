# Usage: bash follow.sh HOST PORT HEADER    (bash follow.sh localhost 4321 "-10 nginx/access.log")
exec 3<> "/dev/tcp/$1/$2" || exit
printf '%s\n' "$3" >&3
cat <&3
