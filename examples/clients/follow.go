// Usage: go run follow.go HOST PORT HEADER    (go run follow.go localhost 4321 "-10 nginx/access.log")
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	server, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(server, os.Args[3])
	io.Copy(os.Stdout, server)
}
