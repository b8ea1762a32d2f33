#include "peft/base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "peft/base/text.h"

namespace peft {
namespace {

constexpr int kDefaultWidth = 80;

int asked_columns(int descriptor) {
  winsize size = {};
  if (descriptor < 0 || ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

/// "de_DE.ISO-8859-1" names a character set; "C" and an empty locale name none, and there UTF-8 is
/// the better guess: minimal containers set no locale, their users' terminals all speak UTF-8.
bool locale_is_utf8(const Environment& environment) {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string locale = lower_case(value_of(environment, name));
    if (locale.empty()) continue;
    const size_t dot = locale.find('.');
    if (dot == std::string::npos) return true;
    return locale.find("utf-8", dot) != std::string::npos ||
           locale.find("utf8", dot) != std::string::npos;
  }
  return true;
}

/// The length of the escape sequence (ESC [ ... letter) that the text starts with; 0 where none.
size_t escape_length(std::string_view text) {
  if (text.size() < 2 || text[0] != '\x1b' || text[1] != '[') return 0;
  size_t end = 2;
  while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) == 0) ++end;
  return std::min(end + 1, text.size());
}

struct Glyph {
  size_t bytes;
  size_t columns;
};

Glyph first_glyph(std::string_view text) {
  if (const size_t escape = escape_length(text); escape > 0) return {escape, 0};
  utf8proc_int32_t code = 0;
  const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                      static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (bytes <= 0) return {1, 1};  // a broken byte is drawn as one replacement character
  return {static_cast<size_t>(bytes), static_cast<size_t>(std::max(0, utf8proc_charwidth(code)))};
}

const char* code_of(Style style) {
  switch (style) {
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kRed:
      return "\x1b[31m";
    case Style::kGreen:
      return "\x1b[32m";
    case Style::kYellow:
      return "\x1b[33m";
    case Style::kBlue:
      return "\x1b[34m";
    case Style::kMagenta:
      return "\x1b[35m";
    case Style::kCyan:
      return "\x1b[36m";
  }
  return "";
}

}  // namespace

std::string value_of(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

int Terminal::current_width() const {
  const int columns = asked_columns(descriptor);
  return columns > 0 ? columns : width;
}

Terminal describe_terminal(bool is_tty, int columns, const Environment& environment) {
  Terminal terminal;
  terminal.is_tty = is_tty;
  terminal.can_redraw = is_tty && value_of(environment, "TERM") != "dumb";
  terminal.color = terminal.can_redraw && value_of(environment, "NO_COLOR").empty();
  terminal.unicode = locale_is_utf8(environment);
  const int wished = std::atoi(value_of(environment, "COLUMNS").c_str());
  terminal.width = columns > 0 ? columns : wished > 0 ? wished : kDefaultWidth;
  return terminal;
}

Terminal terminal_of(int descriptor) {
  const bool is_tty = isatty(descriptor) == 1;
  Terminal terminal = describe_terminal(is_tty, is_tty ? asked_columns(descriptor) : 0,
                                        [](const char* name) { return std::getenv(name); });
  if (is_tty) terminal.descriptor = descriptor;
  return terminal;
}

bool progress_bars_disabled() {
  const char* value = std::getenv("HF_HUB_DISABLE_PROGRESS_BARS");
  if (value == nullptr) return false;
  const std::string word = lower_case(value);
  return word == "1" || word == "true" || word == "yes" || word == "on";
}

size_t display_width(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Glyph glyph = first_glyph(text);
    columns += glyph.columns;
    text.remove_prefix(glyph.bytes);
  }
  return columns;
}

std::string fit_width(std::string_view text, size_t width, bool unicode) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  const std::string_view mark = unicode ? "…" : "~";
  size_t columns = 0, bytes = 0;
  while (bytes < text.size()) {
    const Glyph glyph = first_glyph(text.substr(bytes));
    if (columns + glyph.columns > width - 1) break;
    columns += glyph.columns;
    bytes += glyph.bytes;
  }
  return std::string(text.substr(0, bytes)) + std::string(mark);
}

std::string styled(std::string_view text, Style style, const Terminal& terminal) {
  if (!terminal.color || text.empty()) return std::string(text);
  return std::string(code_of(style)) + std::string(text) + "\x1b[0m";
}

}  // namespace peft
