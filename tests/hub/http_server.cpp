#include "tests/hub/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace peft::hub {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return text;
}

std::string decoded(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      result += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

/// Reads one connection; nullopt and empty mean that the client is gone.
class Reader {
 public:
  explicit Reader(int socket) : socket_(socket) {}

  std::optional<std::string> line() {
    size_t end;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (!more()) return std::nullopt;
    }
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return text;
  }

  std::optional<std::string> bytes(size_t count) {
    while (buffer_.size() < count) {
      if (!more()) return std::nullopt;
    }
    std::string text = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return text;
  }

 private:
  bool more() {
    char block[1 << 16];
    const ssize_t got = ::recv(socket_, block, sizeof(block), 0);
    if (got <= 0) return false;
    buffer_.append(block, static_cast<size_t>(got));
    return true;
  }

  int socket_;
  std::string buffer_;
};

std::optional<std::string> read_chunks(Reader& reader) {
  std::string body;
  for (;;) {
    const auto size_line = reader.line();
    if (!size_line) return std::nullopt;
    const size_t size = std::stoul(*size_line, nullptr, 16);
    const auto piece = reader.bytes(size + 2);
    if (!piece) return std::nullopt;
    if (size == 0) return body;
    body.append(*piece, 0, size);
  }
}

std::optional<ServerRequest> read_request(Reader& reader) {
  const auto first = reader.line();
  if (!first) return std::nullopt;
  ServerRequest request;
  const size_t space = first->find(' '), end = first->rfind(' ');
  request.method = first->substr(0, space);
  const std::string target = first->substr(space + 1, end - space - 1);
  const size_t mark = target.find('?');
  request.path = decoded(target.substr(0, mark));
  if (mark != target.npos) request.query = target.substr(mark + 1);
  for (;;) {
    const auto line = reader.line();
    if (!line) return std::nullopt;
    if (line->empty()) break;
    const size_t colon = line->find(':');
    request.headers[lower(line->substr(0, colon))] =
        line->substr(std::min(line->size(), line->find_first_not_of(' ', colon + 1)));
  }
  std::optional<std::string> body = "";
  if (request.header("transfer-encoding") == "chunked") {
    body = read_chunks(reader);
  } else if (const std::string length = request.header("content-length"); !length.empty()) {
    body = reader.bytes(std::stoul(length));
  }
  if (!body) return std::nullopt;
  request.body = std::move(*body);
  return request;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return true;
}

std::string head_of(const Reply& reply) {
  const auto length = reply.length >= 0 ? static_cast<size_t>(reply.length) : reply.body.size();
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  if (!reply.headers.contains("Content-Length")) {
    head += "Content-Length: " + std::to_string(length) + "\r\n";
  }
  return head + "\r\n";
}

}  // namespace

std::string ServerRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error("the test server cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
  }
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  for (std::thread& connection : connections_) connection.join();
}

std::string HttpServer::url(const std::string& host) const {
  return "http://" + host + ":" + std::to_string(port_);
}

void HttpServer::accept_all() {
  for (;;) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_ || socket < 0) {
      if (socket >= 0) ::close(socket);
      return;
    }
    open_.insert(socket);
    connections_.emplace_back([this, socket] { serve(socket); });
  }
}

void HttpServer::serve(int socket) {
  Reader reader(socket);
  for (;;) {
    const auto request = read_request(reader);
    if (!request || !answer(socket, *request)) break;
  }
  const std::lock_guard lock(mutex_);
  open_.erase(socket);
  ::close(socket);
}

bool HttpServer::answer(int socket, const ServerRequest& request) {
  const Reply reply = handler_(request);
  if (!send_all(socket, head_of(reply))) return false;
  if (request.method == "HEAD") return true;
  std::string_view body = reply.body;
  if (reply.cut_after >= 0) {
    send_all(socket, body.substr(0, static_cast<size_t>(reply.cut_after)));
    ::shutdown(socket, SHUT_RDWR);
    return false;
  }
  if (reply.stall_after >= 0) {
    send_all(socket, body.substr(0, static_cast<size_t>(reply.stall_after)));
    pollfd waiting = {.fd = socket, .events = POLLRDHUP, .revents = 0};
    ::poll(&waiting, 1, 60000);  // until the client gives up, or the server ends
    return false;
  }
  const bool whole = send_all(socket, body);
  const bool lied = reply.length >= 0 && static_cast<size_t>(reply.length) != body.size();
  if (lied) ::shutdown(socket, SHUT_RDWR);
  return whole && !lied;
}

}  // namespace peft::hub
