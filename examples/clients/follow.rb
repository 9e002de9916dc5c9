# Usage: ruby follow.rb HOST PORT HEADER    (ruby follow.rb localhost 4321 "-10 nginx/access.log")
require "socket"
server = TCPSocket.new(ARGV[0], ARGV[1])
server.puts ARGV[2]
IO.copy_stream(server, $stdout)
