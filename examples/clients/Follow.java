// Usage: java Follow.java HOST PORT HEADER    (java Follow.java localhost 4321 "-10 nginx/access.log")
import java.io.*;
import java.net.Socket;

class Follow {
    public static void main(String[] arguments) throws IOException {
        try (var server = new Socket(arguments[0], Integer.parseInt(arguments[1]))) {
            server.getOutputStream().write((arguments[2] + "\n").getBytes());
            server.getInputStream().transferTo(new FileOutputStream(FileDescriptor.out));
        }
    }
}
