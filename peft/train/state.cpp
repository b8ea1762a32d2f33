#include "peft/train/state.h"

#include <fmt/core.h>

#include "peft/base/error.h"
#include "peft/base/json_text.h"

namespace peft::train {

namespace {

constexpr const char* kCallback = "RunningTotals";

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

/// The Trainer's own control flags, as they stand between two steps.
Json trainer_control() {
  return {{"args",
           {{"should_epoch_stop", false},
            {"should_evaluate", false},
            {"should_log", false},
            {"should_save", true},
            {"should_training_stop", false}}},
          {"attributes", Json::object()}};
}

}  // namespace

Json to_json(const TrainerState& s) {
  const Json totals = {{"args", Json::object()},
                       {"attributes",
                        {{"last_logged_step", s.last_logged_step},
                         {"loss_since_log", s.loss_since_log},
                         {"seconds_spent", s.seconds_spent},
                         {"total_loss", s.total_loss}}}};
  return {{"best_global_step", or_null(s.best_global_step)},
          {"best_metric", or_null(s.best_metric)},
          {"best_model_checkpoint", or_null(s.best_model_checkpoint)},
          {"epoch", s.epoch},
          {"eval_steps", s.eval_steps},
          {"global_step", s.global_step},
          {"is_hyper_param_search", false},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", s.log_history},
          {"logging_steps", s.logging_steps},
          {"max_steps", s.max_steps},
          {"num_input_tokens_seen", s.num_input_tokens_seen},
          {"num_train_epochs", s.num_train_epochs},
          {"save_steps", s.save_steps},
          {"stateful_callbacks", {{kCallback, totals}, {"TrainerControl", trainer_control()}}},
          {"total_flos", 0.0},
          {"train_batch_size", s.train_batch_size},
          {"trial_name", nullptr},
          {"trial_params", nullptr}};
}

TrainerState trainer_state_from_json(const Json& json, const std::string& where) {
  const auto optional = [](const Json& value, auto& target) {
    if (!value.is_null()) target = value.get<typename std::decay_t<decltype(target)>::value_type>();
  };
  try {
    TrainerState s;
    json.at("epoch").get_to(s.epoch);
    json.at("global_step").get_to(s.global_step);
    json.at("max_steps").get_to(s.max_steps);
    json.at("num_train_epochs").get_to(s.num_train_epochs);
    json.at("logging_steps").get_to(s.logging_steps);
    json.at("eval_steps").get_to(s.eval_steps);
    json.at("save_steps").get_to(s.save_steps);
    json.at("train_batch_size").get_to(s.train_batch_size);
    json.at("num_input_tokens_seen").get_to(s.num_input_tokens_seen);
    optional(json.at("best_metric"), s.best_metric);
    optional(json.at("best_global_step"), s.best_global_step);
    optional(json.at("best_model_checkpoint"), s.best_model_checkpoint);
    s.log_history = json.at("log_history");
    const Json& totals = json.at("stateful_callbacks").at(kCallback).at("attributes");
    totals.at("last_logged_step").get_to(s.last_logged_step);
    totals.at("loss_since_log").get_to(s.loss_since_log);
    totals.at("seconds_spent").get_to(s.seconds_spent);
    totals.at("total_loss").get_to(s.total_loss);
    return s;
  } catch (const Json::exception& error) {
    throw FormatError(
        fmt::format("{}: is no state of this trainer: {}. Resume from another checkpoint.", where,
                    error.what()));
  }
}

std::string trainer_state_text(const TrainerState& state) {
  return dump_json(to_json(state), {.indent = 2, .sort_keys = true, .final_newline = true});
}

}  // namespace peft::train
