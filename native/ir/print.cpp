// Prints programs: one spelling for everything, so equal programs have equal bytes.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "ir/text.h"

namespace slim {
namespace {

constexpr const char* kKinds[] = {"param", "state", "hyper", "slot"};

template <class List, class Print>
std::string joined(const List& list, Print print_one) {
  std::string text;
  for (const auto& item : list) {
    if (!text.empty()) text += ", ";
    text += print_one(item);
  }
  return text;
}

class Printer {
 public:
  explicit Printer(const Program& program) : program_(program) {}

  void function(const Function& f) {
    text += "func " + f.name + " {\n";
    graph(f.graph, 1, "return", &f);
    text += "}\n";
  }

  std::string text;

 private:
  void graph(const Graph& g, int depth, const char* last, const Function* f) {
    const std::string indent(2 * depth, ' ');
    const auto name = [&](ValueId id) { return '%' + g.values[id].name; };
    const auto type = [&](ValueId id) {
      const std::string& device = g.values[id].device;
      return to_string(g.values[id].type) + (device.empty() ? "" : " @" + device);
    };
    for (const Node& node : g.nodes) {
      text += indent + joined(node.results, name) + " = " + node.op + '(';
      std::string inside = joined(node.operands, name);
      for (const auto& [key, value] : node.attributes) {
        if (!inside.empty()) inside += ", ";
        inside += key + '=' + print(value);
      }
      text += inside + ')';
      for (const Graph& r : node.regions) {
        const auto parameter = [&](ValueId id) {
          return '%' + r.values[id].name + " : " + to_string(r.values[id].type);
        };
        text += " {\n" + indent + "  (" + joined(r.parameters, parameter) + ")\n";
        graph(r, depth + 1, "yield", nullptr);
        text += indent + '}';
      }
      text += " : " + joined(node.results, type) + '\n';
    }
    if (f != nullptr) {
      assignments(f->sets, "set", g);
      assignments(f->grads, "grad", g);
    }
    if (!g.returns.empty()) text += indent + last + ' ' + joined(g.returns, name) + '\n';
  }

  void assignments(const std::vector<Assignment>& list, const char* word, const Graph& g) {
    for (const Assignment& a : list) {
      text += std::string("  ") + word + " %" + program_.declarations[a.declaration].name + " = %" +
              g.values[a.value].name + '\n';
    }
  }

  const Program& program_;
};

}  // namespace

std::string print_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string text(buffer, end);  // [-]d[.ddd]e±xx
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  const std::string sign = text[0] == '-' ? "-" : "";
  std::string digits = text.substr(sign.size(), e - sign.size());
  if (exponent < -4 || exponent >= 16) return text;
  if (digits.size() > 1) digits.erase(1, 1);
  const int n = static_cast<int>(digits.size());
  if (exponent < 0) return sign + "0." + std::string(-exponent - 1, '0') + digits;
  if (n <= exponent + 1) return sign + digits + std::string(exponent + 1 - n, '0') + ".0";
  return sign + digits.substr(0, exponent + 1) + '.' + digits.substr(exponent + 1);
}

std::string print_string(const std::string& text) {
  constexpr std::string_view kSpecial = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  std::string quoted = "\"";
  for (const char c : text) {
    const size_t special = kSpecial.find(c);
    if (special != kSpecial.npos) {
      quoted += '\\';
      quoted += kLetters[special];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", c);
      quoted += buffer;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string print(const Attribute& attribute) {
  struct Visitor {
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return print_float(value); }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(const std::string& value) const { return print_string(value); }
    std::string operator()(const std::vector<int64_t>& list) const {
      return '[' + joined(list, [](int64_t v) { return std::to_string(v); }) + ']';
    }
    std::string operator()(const std::vector<double>& list) const {
      return '[' + joined(list, print_float) + ']';
    }
  };
  return std::visit(Visitor{}, attribute);
}

std::string print(const Function& function, const Program& program) {
  Printer printer(program);
  printer.function(function);
  return std::move(printer.text);
}

std::string print(const Program& program) {
  Printer printer(program);
  printer.text = "slim 1\n";
  if (program.compute != Compute::full) {
    printer.text += std::string("compute ") + name_of(program.compute) + '\n';
  }
  for (const Declaration& d : program.declarations) {
    printer.text +=
        std::string(kKinds[static_cast<int>(d.kind)]) + " %" + d.name + " : " + to_string(d.type);
    if (!d.factors.empty()) {
      const auto factor = [](const auto& one) { return one.first + '=' + print(one.second); };
      printer.text += " (" + joined(d.factors, factor) + ')';
    }
    printer.text += '\n';
  }
  for (const Function& function : program.functions) {
    printer.text += '\n';
    printer.function(function);
  }
  return std::move(printer.text);
}

}  // namespace slim
