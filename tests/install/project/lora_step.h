#pragma once

#include <string>

/// Adapts a small network, trains it for a few steps and, unless `folder` is empty, saves the
/// adapter and loads it again. Returns an empty text, or what went wrong.
std::string lora_step(const std::string& folder);
