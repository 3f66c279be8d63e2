#include "proxy/cli/password_prompt.h"

#include <cerrno>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "proxy/cli/terminal.h"

namespace pointsman::proxy::cli {
namespace {

constexpr std::size_t longest = 1024;
constexpr char ctrl_c = 3;
constexpr char ctrl_d = 4;
constexpr char ctrl_u = 21;
constexpr char backspace = 8;
constexpr char rubout = 127;

// Keys come one by one and signals as keys, so that no Ctrl-C leaves a terminal behind that shows nothing.
class Silent {
 public:
  explicit Silent(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &before_) != 0) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    changed_ = ::tcsetattr(fd, TCSAFLUSH, &now) == 0;
  }
  ~Silent() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;
  bool works() const { return changed_; }

 private:
  const int fd_;
  termios before_{};
  bool changed_ = false;
};

std::optional<std::string> read_line(int fd) {
  std::string line;
  for (;;) {
    char key = 0;
    const ssize_t n = ::read(fd, &key, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || key == ctrl_c || (key == ctrl_d && line.empty())) return std::nullopt;
    if (key == '\n' || key == '\r') return line;
    if (key == ctrl_u) {
      line.clear();
    } else if (key == backspace || key == rubout) {
      if (!line.empty()) line.pop_back();
    } else if (line.size() < longest) {
      line += key;
    }
  }
}

}  // namespace

std::optional<std::string> ask_password(const std::string& question) {
  const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  std::optional<std::string> answer;
  {
    const Silent silent(fd);
    if (silent.works()) {
      write_all(fd, question);
      answer = read_line(fd);
      write_all(fd, "\n");
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace pointsman::proxy::cli
