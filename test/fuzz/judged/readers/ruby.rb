# The readers of Ruby: Rack for forms, zlib for content codings. One request a line, one answer a line, as reader-process.ts has it.

require "json"
require "stringio"
require "zlib"
begin
  require "rack"
  rack = Rack.release
rescue LoadError
  rack = nil
end
$stdout.sync = true

def walk(value, files)
  case value
  when Hash
    if value[:tempfile]
      value[:tempfile].rewind
      files << value[:tempfile].read
    else
      value.each_value { |inner| walk(inner, files) }
    end
  when Array then value.each { |inner| walk(inner, files) }
  end
end

def form(type, body)
  files = []
  env = { "CONTENT_TYPE" => type, "CONTENT_LENGTH" => body.bytesize.to_s, "rack.input" => StringIO.new(body), "REQUEST_METHOD" => "POST" }
  begin
    walk(Rack::Multipart.parse_multipart(env), files)
  rescue StandardError, EncodingError
    # a refusal: Rack gives nothing of what it had
  end
  { "Rack" => files.map { |data| [data].pack("m0") } }
end

UNDO = {
  "gzip" => [->(data) { Zlib.gunzip(data) }, ->(data) { Zlib::GzipReader.zcat(StringIO.new(data)) }],
  "deflate" => [->(data) { Zlib::Inflate.inflate(data) }, ->(data) { Zlib::Inflate.new(-15).inflate(data) }]
}.freeze

def coding(names, body)
  yields = [body]
  names.split(",").reverse_each do |name|
    undo = UNDO.fetch(name.strip.downcase.delete_prefix("x-"), [->(same) { same }])
    yields = yields.flat_map { |data| undo.filter_map { |one| one.call(data) rescue nil } }
  end
  { "Ruby's zlib" => yields.map { |data| [data].pack("m0") } }
end

puts JSON.generate({ "form" => { "Rack" => rack }, "coding" => { "Ruby's zlib" => RUBY_VERSION } })
$stdin.each_line do |line|
  word, first, second = line.chomp.split(" ", 3)
  what, body = first.unpack1("m"), second.to_s.unpack1("m")
  puts JSON.generate(word == "form" ? form(what, body) : coding(what, body))
end
