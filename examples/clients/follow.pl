# Usage: perl follow.pl HOST PORT HEADER    (perl follow.pl localhost 4321 "-10 nginx/access.log")
use IO::Socket::IP;
my $server = IO::Socket::IP->new(PeerHost => $ARGV[0], PeerPort => $ARGV[1]) or die "$@\n";
print $server "$ARGV[2]\n";
$| = 1, print while sysread $server, $_, 65536;
