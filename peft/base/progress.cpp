#include "peft/base/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ostream>

#include "peft/base/text.h"

namespace peft {
namespace {

constexpr double kSmoothing = 0.3;  // weight of the newest interval in the rate, as tqdm's
constexpr size_t kMaxBar = 40, kMinBar = 6;

double steady_seconds() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

std::string repeat(std::string_view piece, size_t times) {
  std::string text;
  text.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i) text += piece;
  return text;
}

std::string rate_text(double rate, const std::string& unit, bool bytes) {
  if (!(rate > 0) || !std::isfinite(rate)) return "? " + (bytes ? "B" : unit) + "/s";
  if (bytes) return human_bytes(static_cast<uint64_t>(rate)) + "/s";
  // A slow loop is read more easily the other way round.
  return rate < 1 ? fmt::format("{:.2f} s/{}", 1 / rate, unit)
                  : fmt::format("{:.{}f} {}/s", rate, rate < 100 ? 2 : 0, unit);
}

}  // namespace

std::string clock_text(double seconds) {
  constexpr double kLongest = 1e9;
  if (!(seconds >= 0) || seconds > kLongest) return "?";
  const auto whole = static_cast<int64_t>(seconds);
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60, rest = whole % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest)
                   : fmt::format("{:02}:{:02}", minutes, rest);
}

ProgressBar::ProgressBar(std::ostream& out, ProgressOptions options)
    : out_(out),
      options_(std::move(options)),
      done_(options_.initial),
      noted_done_(options_.initial),
      start_(now()),
      noted_time_(start_),
      last_draw_(start_) {
  // An empty bar at once says that work has begun; a file needs no such line.
  if (!options_.disabled && options_.terminal.can_redraw) draw();
}

ProgressBar::~ProgressBar() {
  try {
    finish();
  } catch (...) {  // a stream that throws must not end the program
  }
}

double ProgressBar::now() const { return options_.clock ? options_.clock() : steady_seconds(); }

void ProgressBar::advance(int64_t by) {
  const std::lock_guard lock(mutex_);
  done_ += by;
  draw_if_due();
}

void ProgressBar::set_done(int64_t done) {
  const std::lock_guard lock(mutex_);
  done_ = done;
  draw_if_due();
}

void ProgressBar::set_postfix(const std::string& key, const std::string& value) {
  const std::lock_guard lock(mutex_);
  const auto same = std::find_if(postfix_.begin(), postfix_.end(),
                                 [&](const auto& field) { return field.first == key; });
  if (same == postfix_.end()) {
    if (!value.empty()) postfix_.emplace_back(key, value);
  } else if (value.empty()) {
    postfix_.erase(same);
  } else {
    same->second = value;
  }
}

void ProgressBar::write_line(const std::string& text) {
  const std::lock_guard lock(mutex_);
  const bool live = drawn_ && !finished_ && options_.terminal.can_redraw;
  if (live) clear_line();
  out_ << text << '\n';
  if (live) draw();
  out_.flush();
}

void ProgressBar::finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  end_ = now();
  // The last line tells the mean over the whole run, not the rate of its last moments.
  mean_seconds_ = 0;
  finished_ = true;
  if (options_.disabled) return;
  draw();
  if (options_.terminal.can_redraw) out_ << '\n';
  out_.flush();
}

double ProgressBar::elapsed_seconds() const {
  const std::lock_guard lock(mutex_);
  return (end_ >= 0 ? end_ : now()) - start_;
}

std::string ProgressBar::line(int width) const {
  const std::lock_guard lock(mutex_);
  return compose(static_cast<size_t>(std::max(width, 1)), Ink::kPlain);
}

double ProgressBar::rate() const {
  if (mean_seconds_ > 0) return mean_count_ / mean_seconds_;
  const double seconds = (end_ >= 0 ? end_ : now()) - start_;
  return seconds > 0 ? static_cast<double>(done_ - options_.initial) / seconds : 0;
}

void ProgressBar::note_progress() {
  const double time = now();
  if (done_ <= noted_done_ || time <= noted_time_) return;
  const double count = static_cast<double>(done_ - noted_done_), seconds = time - noted_time_;
  const double weight = means_ == 0 ? 1 : kSmoothing;
  mean_count_ += weight * (count - mean_count_);
  mean_seconds_ += weight * (seconds - mean_seconds_);
  ++means_;
  noted_done_ = done_;
  noted_time_ = time;
}

void ProgressBar::draw_if_due() {
  if (options_.disabled || finished_) return;
  const double wait =
      options_.terminal.can_redraw ? options_.redraw_seconds : options_.line_seconds;
  if (now() - last_draw_ < wait) return;
  note_progress();
  draw();
}

void ProgressBar::draw() {
  last_draw_ = now();
  drawn_ = true;
  if (!options_.terminal.can_redraw) {
    out_ << compose(0, Ink::kPlain) << '\n' << std::flush;
    return;
  }
  // One column stays free: some terminals wrap as soon as the last one is written.
  const int width = std::max(options_.terminal.current_width() - 1, 1);
  const Ink ink = options_.terminal.color ? Ink::kColor : Ink::kPlain;
  out_ << '\r' << compose(static_cast<size_t>(width), ink) << "\x1b[K" << std::flush;
}

void ProgressBar::clear_line() { out_ << "\r\x1b[K"; }

/// `width` 0 stands for a plain line without a bar and without limit.
std::string ProgressBar::compose(size_t width, Ink ink) const {
  std::string head = options_.label.empty() ? "" : options_.label + "  ";
  if (options_.total > 0) {
    const double share = static_cast<double>(done_) / static_cast<double>(options_.total);
    head += fmt::format("{:3.0f}% ", std::floor(100 * std::clamp(share, 0.0, 1.0)));
  }
  for (size_t kept = postfix_.size();; --kept) {
    const std::string tail = counts() + " [" + facts(kept) + "]";
    if (width == 0) return head + tail;
    const size_t used = display_width(head) + display_width(tail);
    if (options_.total > 0 && used + 1 + kMinBar <= width)
      return head + bar(std::min(kMaxBar, width - used - 1), ink) + " " + tail;
    if (used <= width || kept == 0) return fit_width(head + tail, width, options_.terminal.unicode);
  }
}

std::string ProgressBar::counts() const {
  const auto text = [&](int64_t count) {
    if (options_.bytes) return human_bytes(static_cast<uint64_t>(std::max<int64_t>(count, 0)));
    return fmt::format("{}", count);
  };
  if (options_.total <= 0) return text(done_) + (options_.bytes ? "" : " " + options_.unit);
  return text(done_) + "/" + text(options_.total);
}

std::string ProgressBar::facts(size_t postfixes) const {
  const double pace = rate(), elapsed = (end_ >= 0 ? end_ : now()) - start_;
  std::string text = clock_text(elapsed);
  if (options_.total > 0 && !finished_) {
    const auto left = static_cast<double>(std::max<int64_t>(options_.total - done_, 0));
    text += "<" + clock_text(pace > 0 ? left / pace : -1);
  }
  if (options_.show_rate) text += ", " + rate_text(pace, options_.unit, options_.bytes);
  for (size_t i = 0; i < postfixes; ++i) {
    text += fmt::format(", {}={}", postfix_[i].first, postfix_[i].second);
  }
  return text;
}

std::string ProgressBar::bar(size_t width, Ink ink) const {
  const double share =
      std::clamp(static_cast<double>(done_) / static_cast<double>(options_.total), 0.0, 1.0);
  const auto filled = static_cast<size_t>(std::floor(share * static_cast<double>(width)));
  const bool unicode = options_.terminal.unicode;
  const std::string done = repeat(unicode ? "━" : "#", filled);
  const std::string rest = repeat(unicode ? "─" : "-", width - filled);
  if (ink == Ink::kPlain) return done + rest;
  const Style style = done_ >= options_.total ? Style::kGreen : Style::kCyan;
  return styled(done, style, options_.terminal) + styled(rest, Style::kDim, options_.terminal);
}

}  // namespace peft
