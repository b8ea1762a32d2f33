#include "lora_step.h"

extern "C" int plugin_run() { return lora_step("").empty() ? 0 : 1; }
