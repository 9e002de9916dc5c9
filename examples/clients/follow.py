# Usage: python3 follow.py HOST PORT HEADER    (python3 follow.py localhost 4321 "-10 nginx/access.log")
import socket, sys
server = socket.create_connection(sys.argv[1:3])
server.sendall(sys.argv[3].encode() + b"\n")
while data := server.recv(65536): sys.stdout.buffer.write(data), sys.stdout.buffer.flush()
