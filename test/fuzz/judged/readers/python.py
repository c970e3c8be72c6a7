"""The readers of Python: forms, content codings, downloads. One request a line, one answer a line, as reader-process.ts has it."""

import base64
import gzip
import io
import json
import platform
import sys
import warnings
import zlib
from importlib.metadata import version

warnings.simplefilter("ignore")
out = sys.stdout
sys.stdout = sys.stderr  # what a library prints is no answer

FORMS, CODINGS, DOWNLOADS, VERSIONS = {}, {}, {}, {"form": {}, "coding": {}, "download": {}}


def reader(kind, name, told):
    """Registers a reader; what it needs may be missing, and then it is told as missing."""

    def register(make):
        try:
            {"form": FORMS, "coding": CODINGS, "download": DOWNLOADS}[kind][name] = make()
            VERSIONS[kind][name] = told()
        except ImportError:
            VERSIONS[kind][name] = None
        return make

    return register


@reader("form", "Python's email", platform.python_version)
def _():
    import email
    import email.policy

    def parse(kind, body, files):
        for policy in (email.policy.compat32, email.policy.default):
            message = email.message_from_bytes(b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n\r\n" + body, policy=policy)
            for part in message.walk():
                if part.get_filename() is not None and not part.is_multipart():
                    files.append(part.get_payload(decode=True))

    return parse


@reader("form", "Python's cgi", platform.python_version)
def _():
    import cgi

    def walk(field, files):
        if field.filename is not None and field.file is not None:
            field.file.seek(0)
            data = field.file.read()
            files.append(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
        for inner in field.list or []:
            walk(inner, files)

    def parse(kind, body, files):
        environ = {"REQUEST_METHOD": "POST"}
        headers = {"content-type": kind.decode("latin1"), "content-length": str(len(body))}
        walk(cgi.FieldStorage(fp=io.BytesIO(body), headers=headers, environ=environ, keep_blank_values=True), files)

    return parse


@reader("form", "Werkzeug", lambda: version("werkzeug"))
def _():
    from werkzeug.formparser import parse_form_data

    def parse(kind, body, files):
        _stream, _form, found = parse_form_data(environ(kind, body))
        for _name, file in found.items(multi=True):
            files.append(file.stream.read())

    return parse


@reader("form", "Django", lambda: version("django"))
def _():
    import django
    from django.conf import settings

    settings.configure(DEFAULT_CHARSET="utf-8")
    django.setup()
    from django.core.files.uploadhandler import MemoryFileUploadHandler
    from django.http.multipartparser import MultiPartParser

    def parse(kind, body, files):
        handlers = [MemoryFileUploadHandler()]
        _post, found = MultiPartParser(environ(kind, body), io.BytesIO(body), handlers, "utf-8").parse()
        for _name, several in found.lists():
            files.extend(file.read() for file in several)

    return parse


@reader("form", "python-multipart", lambda: version("python-multipart"))
def _():
    import logging

    import multipart

    logging.disable(logging.CRITICAL)

    def parse(kind, body, files):
        def on_file(file):
            file.file_object.seek(0)
            files.append(file.file_object.read())

        headers = {"Content-Type": kind, "Content-Length": str(len(body)).encode()}
        multipart.parse_form(headers, io.BytesIO(body), lambda field: None, on_file)

    return parse


@reader("form", "aiohttp", lambda: version("aiohttp"))
def _():
    import asyncio

    import aiohttp

    loop = asyncio.new_event_loop()

    async def take(multipart, files):
        while (part := await multipart.next()) is not None:
            if isinstance(part, aiohttp.MultipartReader):
                await take(part, files)
            elif part.filename:
                raw = await part.read()
                files.append(raw)
                files.append(part.decode(raw))

    async def parse_all(kind, body, files):
        stream = aiohttp.StreamReader(FakeProtocol(), 2**20, loop=loop)
        stream.feed_data(body)
        stream.feed_eof()
        await take(aiohttp.MultipartReader({"Content-Type": kind.decode("latin1")}, stream), files)

    class FakeProtocol:
        _reading_paused = False

        def pause_reading(self):
            pass

        def resume_reading(self):
            pass

    return lambda kind, body, files: loop.run_until_complete(asyncio.wait_for(parse_all(kind, body, files), 1))


def environ(kind, body):
    return {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": kind.decode("latin1"),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


def whole(decoder):
    """What a decoder has yielded when its input ends, or when it fails."""

    def undo(data):
        decompress = decoder()
        yielded = b""
        for at in range(0, len(data), 1):
            try:
                yielded += decompress.decompress(data[at : at + 1])
            except Exception:
                break
        return yielded

    return undo


def members(bits):
    """One member behind another, whatever lies between them passed over, as urllib3 and lenient readers do."""

    def undo(data):
        yielded = b""
        while data:
            decompress = zlib.decompressobj(bits)
            try:
                yielded += decompress.decompress(data)
            except zlib.error:
                data = data[1:]
                continue
            data = decompress.unused_data
        return yielded

    return undo


UNDO = {
    "gzip": [gzip.decompress, whole(lambda: zlib.decompressobj(31)), members(31)],
    "deflate": [whole(lambda: zlib.decompressobj(15)), whole(lambda: zlib.decompressobj(-15)), members(15)],
    "compress": [whole(lambda: zlib.decompressobj(47))],
}


@reader("coding", "Python's zlib and gzip", platform.python_version)
def _():
    try:
        import brotli

        UNDO["br"] = [brotli.decompress]
    except ImportError:
        pass

    def decode(names, body):
        yields = [body]
        for name in reversed(names.split(",")):
            name = name.strip().lower()
            name = name[2:] if name.startswith("x-") else name
            following = []
            for data in yields:
                for undo in UNDO.get(name, [lambda same: same]):
                    try:
                        following.append(undo(data))
                    except Exception:
                        pass
            yields = following
        return yields

    return decode


@reader("download", "urllib3", lambda: version("urllib3"))
def _():
    import urllib3

    pool = urllib3.PoolManager(retries=False, timeout=10)
    return lambda url, headers: pool.request("GET", url, headers={"Accept-Encoding": "gzip, deflate, br", **headers}).data


@reader("download", "requests", lambda: version("requests"))
def _():
    import requests

    session = requests.Session()
    session.trust_env = False
    return lambda url, headers: session.get(url, headers=headers, timeout=10).content


def form(kind, body):
    read = {}
    for name, parse in FORMS.items():
        files = []
        try:
            parse(kind, body, files)
        except Exception:
            pass  # a refusal: what it had seen counts
        read[name] = [base64.b64encode(data or b"").decode() for data in files]
    return read


def coding(names, body):
    return {name: [base64.b64encode(data).decode() for data in decode(names.decode("latin1"), body)] for name, decode in CODINGS.items()}


def download(url, headers):
    read = {}
    for name, get in DOWNLOADS.items():
        try:
            read[name] = [base64.b64encode(get(url.decode(), json.loads(headers))).decode()]
        except Exception:
            read[name] = []
    return read


print(json.dumps(VERSIONS), file=out, flush=True)
for line in sys.stdin:
    word, first, second = line.rstrip("\n").split(" ")
    answer = {"form": form, "coding": coding, "download": download}[word]
    print(json.dumps(answer(base64.b64decode(first), base64.b64decode(second))), file=out, flush=True)
