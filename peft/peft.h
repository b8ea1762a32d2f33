#pragma once

// The front door: everything that a program with adapters needs.

#include "peft/adapter/clone.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/functional.h"
#include "peft/methods/lora/config.h"
#include "peft/offload.h"
#include "peft/peft_mixed_model.h"
#include "peft/peft_model.h"
#include "peft/peft_model_for_causal_lm.h"
#include "peft/tensor/module_kind.h"
#include "peft/tensor/tag_key.h"
#include "peft/version.h"
