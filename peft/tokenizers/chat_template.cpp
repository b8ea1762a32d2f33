#include "peft/tokenizers/chat_template.h"

#include "peft/base/error.h"
#include "peft/tokenizers/jinja/interpreter.h"

namespace peft::tokenizers {

struct ChatTemplate::Program {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(const std::string& source)
    : program_(std::make_unique<const Program>(Program{jinja::parse(source)})) {}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

Rendered ChatTemplate::render(const Json& messages, const RenderOptions& options) const {
  jinja::Keywords variables = {
      {"messages", jinja::Value::from_json(messages)},
      {"tools", jinja::Value::from_json(options.tools)},
      {"documents", jinja::Value::none()},
      {"add_generation_prompt", options.add_generation_prompt},
  };
  if (!options.variables.is_null() && !options.variables.is_object())
    throw ConfigError(std::string("chat template: variables: expected an object, got ") +
                      options.variables.type_name() + ".");
  for (const auto& [name, value] : options.variables.items())
    variables.emplace_back(name, jinja::Value::from_json(value));
  jinja::Interpreter interpreter(jinja::Limits{}, std::move(variables));
  Rendered rendered;
  rendered.text = interpreter.run(program_->body);
  rendered.generation = interpreter.generation();
  return rendered;
}

}  // namespace peft::tokenizers
