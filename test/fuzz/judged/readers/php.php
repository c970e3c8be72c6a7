<?php
// The readers of PHP: $_FILES of its built-in server on loopback, zlib for content codings. One request a line, one answer a line, as
// reader-process.ts has it. The same file is what that server serves.

if (PHP_SAPI === 'cli-server') {
    $files = [];
    array_walk_recursive($_FILES, function ($value, $key) use (&$files) {
        if (is_string($value) && is_uploaded_file($value)) $files[] = base64_encode(file_get_contents($value));
    });
    echo json_encode($files);
    return;
}

$quiet = ['file', '/dev/null', 'w'];
$command = [PHP_BINARY, '-d', 'max_file_uploads=100', '-d', 'upload_max_filesize=64M', '-d', 'post_max_size=64M', '-S', '127.0.0.1:0', __FILE__];
$server = proc_open($command, [['file', '/dev/null', 'r'], $quiet, ['pipe', 'w']], $pipes);
register_shutdown_function(fn () => proc_terminate($server, 9));
preg_match('~http://127\.0\.0\.1:(\d+)~', fgets($pipes[2]), $match);
$port = $match[1];
stream_set_blocking($pipes[2], false);

function form(string $type, string $body): array
{
    global $port, $pipes;
    while (fgets($pipes[2])); // its log, or it would fill the pipe
    $socket = fsockopen('127.0.0.1', (int) $port, $code, $text, 5);
    stream_set_timeout($socket, 5);
    fwrite($socket, "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: $type\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body");
    $answer = stream_get_contents($socket);
    fclose($socket);
    $text = substr($answer, strpos($answer, "\r\n\r\n") + 4);
    $at = strrpos($text, '[');
    return ['PHP' => $at === false ? [] : (json_decode(substr($text, $at), true) ?? [])];
}

function coding(string $names, string $body): array
{
    $undo = [
        'gzip' => [fn ($data) => gzdecode($data), fn ($data) => stretched(ZLIB_ENCODING_GZIP, $data)],
        'deflate' => [fn ($data) => gzuncompress($data), fn ($data) => gzinflate($data), fn ($data) => stretched(ZLIB_ENCODING_DEFLATE, $data)],
    ];
    $yields = [$body];
    foreach (array_reverse(explode(',', $names)) as $name) {
        $name = preg_replace('/^x-/', '', strtolower(trim($name)));
        $next = [];
        foreach ($yields as $data)
            foreach ($undo[$name] ?? [fn ($same) => $same] as $one)
                if (($got = @$one($data)) !== false) $next[] = $got;
        $yields = $next;
    }
    return ["PHP's zlib" => array_map('base64_encode', $yields)];
}

// What had come when it failed.
function stretched(int $encoding, string $data): string|false
{
    return inflate_add(inflate_init($encoding), $data, ZLIB_SYNC_FLUSH);
}

echo json_encode(['form' => ['PHP' => PHP_VERSION], 'coding' => ["PHP's zlib" => PHP_VERSION]]), "\n";
while (($line = fgets(STDIN)) !== false) {
    [$word, $first, $second] = explode(' ', rtrim($line, "\n"));
    $what = base64_decode($first);
    $body = base64_decode($second);
    echo json_encode((object) ($word === 'form' ? form($what, $body) : coding($what, $body))), "\n";
}
