// The readers of Go: forms and content codings. One request a line, one answer a line, as reader-process.ts has it.
package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
)

type read map[string][]string

func main() {
	versions := map[string]map[string]string{
		"form":   {"Go's mime/multipart": runtime.Version(), "Go's ParseMultipartForm": runtime.Version()},
		"coding": {"Go's compress": runtime.Version()},
	}
	tell(versions)
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Split(strings.TrimRight(line, "\n"), " ")
		what, _ := base64.StdEncoding.DecodeString(words[1])
		body, _ := base64.StdEncoding.DecodeString(words[2])
		if words[0] == "form" {
			tell(read{"Go's mime/multipart": parts(string(what), body), "Go's ParseMultipartForm": form(string(what), body)})
		} else {
			tell(read{"Go's compress": decoded(string(what), body)})
		}
	}
}

func tell(value any) {
	text, _ := json.Marshal(value)
	fmt.Println(string(text))
}

func request(kind string, body []byte) *http.Request {
	request, _ := http.NewRequest("POST", "http://localhost/", bytes.NewReader(body))
	request.Header["Content-Type"] = []string{kind}
	return request
}

func parts(kind string, body []byte) []string {
	files := []string{}
	reader, err := request(kind, body).MultipartReader()
	if err != nil {
		return files
	}
	for {
		part, err := reader.NextPart()
		if err != nil {
			return files
		}
		if part.FileName() == "" {
			continue
		}
		data, _ := io.ReadAll(part)
		files = append(files, base64.StdEncoding.EncodeToString(data))
	}
}

func form(kind string, body []byte) []string {
	files := []string{}
	request := request(kind, body)
	if request.ParseMultipartForm(32<<20) != nil || request.MultipartForm == nil {
		return files
	}
	for _, headers := range request.MultipartForm.File {
		for _, header := range headers {
			file, err := header.Open()
			if err != nil {
				continue
			}
			data, _ := io.ReadAll(file)
			files = append(files, base64.StdEncoding.EncodeToString(data))
		}
	}
	return files
}

// Everything that undoing the codings from the last to the first may yield; a name that is not known is passed over.
func decoded(names string, body []byte) []string {
	yields := [][]byte{body}
	list := strings.Split(names, ",")
	for at := len(list) - 1; at >= 0; at-- {
		next := [][]byte{}
		for _, data := range yields {
			switch strings.TrimPrefix(strings.ToLower(strings.TrimSpace(list[at])), "x-") {
			case "gzip":
				if reader, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
					next = append(next, all(reader))
				}
			case "deflate":
				if reader, err := zlib.NewReader(bytes.NewReader(data)); err == nil {
					next = append(next, all(reader))
				}
				next = append(next, all(flate.NewReader(bytes.NewReader(data))))
			default:
				next = append(next, data)
			}
		}
		yields = next
	}
	texts := []string{}
	for _, data := range yields {
		texts = append(texts, base64.StdEncoding.EncodeToString(data))
	}
	return texts
}

// What had come when it failed.
func all(reader io.Reader) []byte {
	data, _ := io.ReadAll(reader)
	return data
}
