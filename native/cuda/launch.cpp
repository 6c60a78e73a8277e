// The text of a plan's kernels, and what one of them is given.
#include "cuda/launch.h"

#include <cstring>
#include <set>

#include "cuda/call.h"
#include "cuda/headers.h"
#include "kernels/trace/preamble.h"

namespace slim::cuda {
namespace {

std::string filled_in(std::string text, const std::string& name) {
  for (size_t at = text.find("NAME"); at != text.npos; at = text.find("NAME", at + name.size())) {
    text.replace(at, 4, name);
  }
  return text;
}

std::map<std::string, Row>& rows() {
  static auto& all = *new std::map<std::string, Row>;
  return all;
}

// A header after those that it includes.
void add_header(const std::string& name, std::set<std::string>& known, std::string& text) {
  if (!known.insert(name).second) return;
  const std::string& header = headers().at(name);
  std::string body;
  for (size_t at = 0; at < header.size();) {
    const size_t end = std::min(header.find('\n', at), header.size() - 1) + 1;
    const std::string line = header.substr(at, end - at);
    constexpr char kInclude[] = "#include \"cuda/kernels/";
    if (line.rfind(kInclude, 0) == 0) {
      const size_t from = sizeof kInclude - 1;
      add_header(line.substr(from, line.find('.') - from), known, text);
    } else if (line != "#pragma once\n") {
      body += line;
    }
    at = end;
  }
  text += body;
}

std::string name_of(size_t i) { return "k" + std::to_string(i); }

}  // namespace

void* Argument::in(const Context& context) const {
  if (array == Array::dense) return buffer.in<void>(context);
  const SparseBatch& batch = buffer.sparse_in(context);
  switch (array) {
    case Array::columns:
      return batch.columns;
    case Array::offsets:
      return batch.offsets;
    case Array::ids:
      return batch.ids;
    case Array::count:
      return batch.count;
    case Array::pairs:
      return batch.pairs[0];
    case Array::other_pairs:
      return batch.pairs[1];
    case Array::row_of:
      return batch.row_of;
    case Array::dense:
    case Array::values:
      break;
  }
  return batch.values;
}

Register::Register(const char* op, Prepare prepare, Workspace workspace, Library library) {
  rows()[op] = {prepare, workspace, library};
}

const Row* find_row(const std::string& op) {
  const auto found = rows().find(op);
  return found == rows().end() ? nullptr : &found->second;
}

std::string head_of(const std::vector<const KernelText*>& texts,
                    const std::vector<std::string>& further) {
  std::set<std::string> known;
  std::map<std::string, std::string> formulas;
  std::string head, functions;
  add_header("facts", known, head);
  for (const std::string& header : further) add_header(header, known, head);
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const std::string& header : texts[i]->headers) add_header(header, known, head);
    formulas.insert(texts[i]->formulas.begin(), texts[i]->formulas.end());
    functions += '\n' + filled_in(texts[i]->functions, name_of(i));
  }
  for (const auto& [name, text] : formulas) head += '\n' + text;
  return head + functions;
}

std::string arguments_of(const KernelText& text) {
  return "slim::Args<" + std::to_string(std::max<size_t>(text.arguments.size(), 1)) + '>';
}

std::string body_of(const KernelText& text, size_t i) { return filled_in(text.body, name_of(i)); }

std::string module_text(const std::vector<const KernelText*>& texts) {
  std::string body = head_of(texts, {});
  for (size_t i = 0; i < texts.size(); ++i) {
    body += "\nextern \"C\" __global__ void __launch_bounds__(" +
            std::to_string(texts[i]->grid.threads) + ") " + name_of(i) + "(const " +
            arguments_of(*texts[i]) + " a) {\n" + body_of(*texts[i], i) + "}\n";
  }
  return preamble(body, Dialect::cuda) + body;
}

void KernelLaunch::link(Driver& driver, std::shared_ptr<Module> module, const std::string& name) {
  driver_ = &driver;
  kernel_ = module->kernel(name, text_.grid);
  module_ = std::move(module);
}

void KernelLaunch::run(const Context& context, int64_t, std::byte*) const noexcept {
  const auto& call = static_cast<const Call&>(*context.call);
  void* arguments[1 + kMostArguments];  // prepare refuses more
  arguments[0] = call.facts;
  size_t count = 1;
  for (const Argument& argument : text_.arguments) arguments[count++] = argument.in(context);
  count = std::max<size_t>(count, 2);
  driver_->launch(call.stream, *kernel_, text_.grid, arguments, count * sizeof(void*));
}

std::string pointer(size_t argument, DType dtype, bool writes) {
  return std::string("a.in<") + (writes ? "" : "const ") + c_type(dtype) + ">(" +
         std::to_string(argument) + ")";
}

}  // namespace slim::cuda
