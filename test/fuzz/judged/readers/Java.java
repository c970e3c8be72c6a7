// The readers of Java: commons-fileupload for forms, java.util.zip for content codings. One request a line, one answer a line, as
// reader-process.ts has it.

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.zip.*;
import org.apache.commons.fileupload.*;
import org.apache.commons.fileupload.disk.DiskFileItemFactory;

class Java {
  record Form(String getContentType, byte[] body) implements UploadContext {
    public String getContentType() {
      return getContentType;
    }

    public String getCharacterEncoding() {
      return null;
    }

    public int getContentLength() {
      return body.length;
    }

    public long contentLength() {
      return body.length;
    }

    public InputStream getInputStream() {
      return new ByteArrayInputStream(body);
    }
  }

  public static void main(String[] arguments) throws IOException {
    String version = arguments[0];
    String java = System.getProperty("java.version");
    System.out.println("{\"form\":{\"commons-fileupload\":\"" + version + "\"},\"coding\":{\"Java's zip\":\"" + java + "\"}}");
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    for (String line; (line = lines.readLine()) != null; ) {
      String[] words = line.split(" ", -1);
      String what = new String(Base64.getDecoder().decode(words[1]), StandardCharsets.ISO_8859_1);
      byte[] body = Base64.getDecoder().decode(words[2]);
      if (words[0].equals("form")) tell("commons-fileupload", form(what, body));
      else tell("Java's zip", coding(what, body));
    }
  }

  static void tell(String name, List<byte[]> files) {
    StringJoiner list = new StringJoiner(",", "[", "]");
    for (byte[] file : files) list.add("\"" + Base64.getEncoder().encodeToString(file) + "\"");
    System.out.println("{\"" + name + "\":" + list + "}");
  }

  static List<byte[]> form(String type, byte[] body) {
    List<byte[]> files = new ArrayList<>();
    try {
      FileItemIterator items = new FileUpload(new DiskFileItemFactory()).getItemIterator(new Form(type, body));
      while (items.hasNext()) {
        FileItemStream item = items.next();
        try (InputStream stream = item.openStream()) {
          byte[] file = stream.readAllBytes();
          if (!item.isFormField()) files.add(file);
        }
      }
    } catch (Exception refusal) {
      // what it had seen counts
    }
    return files;
  }

  /** Everything that undoing the codings from the last to the first may yield; a name that is not known is passed over. */
  static List<byte[]> coding(String names, byte[] body) {
    List<byte[]> yields = List.of(body);
    String[] list = names.split(",", -1);
    for (int at = list.length - 1; at >= 0; at -= 1) {
      String name = list[at].strip().toLowerCase(Locale.ROOT).replaceFirst("^x-", "");
      List<byte[]> next = new ArrayList<>();
      for (byte[] data : yields) {
        if (name.equals("gzip")) {
          next.add(all(() -> new GZIPInputStream(new ByteArrayInputStream(data))));
        } else if (name.equals("deflate")) {
          next.add(all(() -> new InflaterInputStream(new ByteArrayInputStream(data))));
          next.add(all(() -> new InflaterInputStream(new ByteArrayInputStream(data), new Inflater(true))));
        } else next.add(data);
      }
      yields = next;
    }
    return yields;
  }

  interface Opening {
    InputStream open() throws IOException;
  }

  /** What had come when it failed. */
  static byte[] all(Opening opening) {
    ByteArrayOutputStream got = new ByteArrayOutputStream();
    try (InputStream stream = opening.open()) {
      for (int next; (next = stream.read()) >= 0; ) got.write(next);
    } catch (IOException failure) {
      // it ends here
    }
    return got.toByteArray();
  }
}
