// Parses the text of a program, line by line; every refusal names its line.
#include "ir/text.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "ir/cursor.h"

namespace slim {
namespace {

using reading::Cursor;
using reading::refuse;

constexpr size_t kMaxText = size_t{64} << 20;
constexpr int kMaxRegions = 16;
constexpr size_t kMaxDeclarations = 1u << 16;
constexpr size_t kMaxFunctions = 32;

// Names are parts of the text, which outlives the parser.
using ValueNames = std::unordered_map<std::string_view, ValueId>;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Program program() {
    header();
    compute();
    while (std::exchange(seen_, false) || next_line()) {
      if (cursor_.take_word("func")) {
        function();
      } else {
        declaration();
      }
    }
    return std::move(program_);
  }

 private:
  // The next line that holds anything, without its comment. False at the end of the text.
  bool next_line() {
    while (at_ < text_.size()) {
      size_t end = text_.find('\n', at_);
      if (end == std::string_view::npos) end = text_.size();
      std::string_view line = text_.substr(at_, end - at_);
      at_ = end + 1;
      ++line_;
      if (line.find('#') != line.npos) line = without_comment(line);
      while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
        line.remove_suffix(1);
      cursor_ = Cursor(line, line_);
      if (!cursor_.at_end()) return true;
    }
    cursor_ = Cursor({}, line_ + 1);
    return false;
  }

  static std::string_view without_comment(std::string_view line) {
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"') quoted = !quoted;
      if (quoted && line[i] == '\\') ++i;
      if (i < line.size() && line[i] == '#' && !quoted) return line.substr(0, i);
    }
    return line;
  }

  void need_line(const char* expected) {
    if (!next_line())
      refuse(cursor_.line(), std::string("expected ") + expected + ", found the end of the text");
  }

  void header() {
    need_line("'slim 1'");
    if (!cursor_.take_word("slim")) cursor_.fail("'slim 1'");
    const std::string version(cursor_.word("a version"));
    if (version[0] == '0' || !std::all_of(version.begin(), version.end(), reading::is_digit)) {
      refuse(line_, "expected a version such as 1, found '" + version + '\'');
    }
    if (version != "1") {
      throw std::invalid_argument("program text version " + version +
                                  " is newer than this slimlearn reads (1): upgrade slimlearn");
    }
    cursor_.end();
  }

  // The line behind the first, if it is there; the next is looked at in any case.
  void compute() {
    seen_ = next_line();
    if (!seen_ || !cursor_.take_word("compute")) return;
    seen_ = false;
    const std::string_view word = cursor_.word("bfloat16 or float16");
    for (const Compute one : {Compute::bfloat16, Compute::float16}) {
      if (word == name_of(one)) program_.compute = one;
    }
    if (program_.compute == Compute::full) {
      refuse(line_, "expected bfloat16 or float16, found '" + std::string(word) + '\'');
    }
    cursor_.end();
  }

  void declaration() {
    constexpr const char* kKinds[] = {"param", "state", "hyper", "slot"};
    int kind = 0;
    while (kind < 4 && !cursor_.take_word(kKinds[kind])) ++kind;
    if (kind == 4) cursor_.fail("param, state, hyper, slot or func");
    if (!program_.functions.empty()) refuse(line_, "declarations stand before functions");
    const std::string_view name = cursor_.name();
    Declaration d{static_cast<DeclarationKind>(kind), std::string(name), {}, {}};
    cursor_.expect(":");
    d.type = cursor_.type();
    if (d.kind == DeclarationKind::param && cursor_.take("(")) d.factors = factors();
    cursor_.end();
    if (!globals_.emplace(name, static_cast<ValueId>(program_.declarations.size())).second) {
      refuse(line_, '%' + d.name + " is declared twice");
    }
    if (program_.declarations.size() == kMaxDeclarations)
      refuse(line_, "more than 65536 declarations");
    program_.declarations.push_back(std::move(d));
  }

  Attributes factors() {
    Attributes::Map found;
    do {
      const std::string key(cursor_.word("decay_factor or learning_rate_factor"));
      if (key != "decay_factor" && key != "learning_rate_factor")
        refuse(line_, "expected decay_factor or learning_rate_factor, found '" + key + '\'');
      cursor_.expect("=");
      const Attribute value = cursor_.attribute();
      const double* factor = std::get_if<double>(&value);
      if (factor == nullptr || !(*factor >= 0 && *factor <= std::numeric_limits<double>::max()))
        refuse(line_, key + " is " + print(value) + ", needs a finite float >= 0");
      if (!found.emplace(key, value).second) refuse(line_, key + " stands twice");
    } while (cursor_.take(","));
    cursor_.expect(")");
    return found;
  }

  void function() {
    Function f;
    f.name = cursor_.symbol("the function's name");
    cursor_.expect("{");
    cursor_.end();
    if (program_.find(f.name) != nullptr) refuse(line_, "func " + f.name + " stands twice");
    if (program_.functions.size() == kMaxFunctions) refuse(line_, "more than 32 functions");
    for (const Declaration& d : program_.declarations) f.graph.add_value(d.name, d.type);
    ValueNames names = globals_;
    body(f.graph, names, 1, &f);
    cursor_.end();
    program_.functions.push_back(std::move(f));
  }

  // Statements up to and with the closing bracket; f is null in a region.
  void body(Graph& graph, ValueNames& names, int depth, Function* f) {
    if (depth > kMaxRegions) refuse(line_, "regions are nested deeper than 16");
    enum { kNodes, kAssignments, kDone } stage = kNodes;
    const char* last = f != nullptr ? "return" : "yield";
    for (;;) {
      need_line("'}'");
      if (cursor_.take("}")) return;
      if (stage == kDone) cursor_.fail("'}'");
      if (cursor_.take_word(last)) {
        graph.returns = operands(names);
        cursor_.end();
        stage = kDone;
      } else if (f != nullptr && f->grads.empty() && cursor_.take_word("set")) {
        f->sets.push_back(assignment(names, f->sets));
        stage = kAssignments;
      } else if (f != nullptr && cursor_.take_word("grad")) {
        f->grads.push_back(assignment(names, f->grads));
        stage = kAssignments;
      } else if (stage == kNodes && cursor_.peek() == '%') {
        node(graph, names, depth);
      } else {
        cursor_.fail(f == nullptr ? "a statement '%x = op(...) : type', yield or '}'"
                     : stage == kNodes
                         ? "a statement '%x = op(...) : type', set, grad, return or '}'"
                         : "set, grad, return or '}'");
      }
    }
  }

  Assignment assignment(const ValueNames& names, const std::vector<Assignment>& before) {
    const std::string_view target = cursor_.name();
    const auto found = globals_.find(target);
    if (found == globals_.end()) refuse(line_, '%' + std::string(target) + " is not declared");
    cursor_.expect("=");
    const Assignment a{found->second, operand(names)};
    cursor_.end();
    for (const Assignment& other : before) {
      if (other.declaration == a.declaration)
        refuse(line_, '%' + std::string(target) + " is assigned twice");
    }
    return a;
  }

  ValueId operand(const ValueNames& names) {
    const std::string_view name = cursor_.name();
    const auto found = names.find(name);
    if (found == names.end()) {
      refuse(line_, '%' + std::string(name) + " is not defined before this line");
    }
    return found->second;
  }

  std::vector<ValueId> operands(const ValueNames& names) {
    std::vector<ValueId> list{operand(names)};
    while (cursor_.take(",")) list.push_back(operand(names));
    return list;
  }

  ValueId define(Graph& graph, ValueNames& names, std::string_view name, Type type) {
    const ValueId id = graph.add_value(std::string(name), std::move(type));
    if (!names.emplace(name, id).second) {
      refuse(line_, '%' + std::string(name) + " is defined twice");
    }
    return id;
  }

  void node(Graph& graph, ValueNames& names, int depth) {
    std::vector<std::string_view> results{cursor_.name()};
    while (cursor_.take(",")) results.push_back(cursor_.name());
    cursor_.expect("=");
    Node node;
    node.op = cursor_.word("the name of an op");
    cursor_.expect("(");
    Attributes::Map attributes;
    for (bool first = true; !cursor_.take(")"); first = false) {
      if (!first) cursor_.expect(",");
      if (cursor_.peek() == '%' && attributes.empty()) {
        node.operands.push_back(operand(names));
        continue;
      }
      const std::string key(cursor_.word("an operand %x or an attribute key=value"));
      cursor_.expect("=");
      if (!attributes.emplace(key, cursor_.attribute()).second) {
        refuse(line_, "the attribute " + key + " stands twice");
      }
    }
    node.attributes = std::move(attributes);
    while (cursor_.take("{")) {
      cursor_.end();
      node.regions.push_back(region(depth + 1));
    }
    cursor_.expect(":");
    for (size_t i = 0; i < results.size(); ++i) {
      if (i > 0) cursor_.expect(",");
      node.results.push_back(define(graph, names, results[i], cursor_.type()));
      if (!cursor_.take("@")) continue;
      if (depth > 1) refuse(line_, "@ stands inside of a region, which has one device");
      graph.values[node.results.back()].device = cursor_.symbol("a device such as cpu:1");
    }
    cursor_.end();
    graph.nodes.push_back(std::move(node));
  }

  Graph region(int depth) {
    Graph graph;
    ValueNames names;
    need_line("the region's parameters");
    cursor_.expect("(");
    while (!cursor_.take(")")) {
      if (!graph.parameters.empty()) cursor_.expect(",");
      const std::string_view name = cursor_.name();
      cursor_.expect(":");
      graph.parameters.push_back(define(graph, names, name, cursor_.type()));
    }
    cursor_.end();
    body(graph, names, depth, nullptr);
    return graph;
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 0;
  Cursor cursor_;
  bool seen_ = false;  // the line at the cursor is still to be read
  Program program_;
  ValueNames globals_;
};

}  // namespace

Program parse(std::string_view text) {
  if (text.size() > kMaxText) throw std::invalid_argument("a program text of more than 64 MiB");
  return Parser(text).program();
}

}  // namespace slim
