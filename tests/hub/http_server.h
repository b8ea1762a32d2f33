#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace peft::hub {

struct ServerRequest {
  std::string method = {};
  std::string path = {};                            // decoded
  std::string query = {};                           // as sent
  std::map<std::string, std::string> headers = {};  // names in lower case
  std::string body = {};

  std::string header(const std::string& name) const;
};

/// An answer, and how it goes wrong.
struct Reply {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::string body = {};
  int64_t length = -1;       // the Content-Length that is told; -1: the true one
  int64_t cut_after = -1;    // the connection breaks after this many bytes of the body
  int64_t stall_after = -1;  // nothing comes any more after this many bytes of the body
};

/// An HTTP/1.1 server on a free port of this computer, a thread for each connection. Hand-written
/// because it has to break the protocol at any byte, which a server library is made to prevent.
class HttpServer {
 public:
  using Handler = std::function<Reply(const ServerRequest&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://HOST:PORT"; both names reach it, and they are two hosts to a client.
  std::string url(const std::string& host = "127.0.0.1") const;

 private:
  void accept_all();
  void serve(int socket);
  bool answer(int socket, const ServerRequest& request);

  Handler handler_;
  int listener_ = -1, port_ = 0;
  bool stopping_ = false;
  std::mutex mutex_;
  std::set<int> open_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace peft::hub
