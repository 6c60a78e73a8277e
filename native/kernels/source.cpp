// Prints a tape as a loop over elements: what depends on less is computed outside where it can.
#include "kernels/source.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <stdexcept>
#include <utility>

#include "kernels/trace/formulas.h"
#include "kernels/trace/preamble.h"

namespace slim {

namespace {

const char* name_of(Extent extent) {
  constexpr const char* kNames[] = {"scalar", "row", "column", "full"};
  return kNames[static_cast<int>(extent)];
}

const char* name_of(Operation op) {
  switch (op) {
#define FORMULA(name, operands, types, result, cost) \
  case Operation::name:                              \
    return #name;
#define SPECIAL(name, operands, type_rule, row_rule) \
  case Operation::name:                              \
    return #name;
#include "ir/elementwise.def"
    case Operation::copy:
      break;
  }
  return "copy";
}

std::string number(int64_t value) { return std::to_string(value); }

}  // namespace

class TapePrinter {
 public:
  TapePrinter(SourceFile& file, const Binding& binding, const Tape& tape,
              const std::vector<Buffer>& operands)
      : file_(file),
        binding_(binding),
        tape_(tape),
        operands_(operands),
        live_(needed({Extent::scalar, Extent::row, Extent::column, Extent::full})) {}

  std::string print(const std::string& name) {
    if (cuda() && !tape_.sums.empty() && file_.entry_ != SourceFile::Entry::device) {
      binding_.refuse("takes a total over all elements: in CUDA that is the work of one block");
    }
    if (element() && (yields(Extent::row) || yields(Extent::column))) {
      binding_.refuse("has a result that is no element for each of the product");
    }
    head(name);
    std::string before = std::exchange(text_, {});
    numbers();
    body();
    store_rows();
    end();
    if (!fixed() && text_.find("rows") == text_.npos) before += "  (void)rows;\n";
    return before + text_ + "}\n";
  }

 private:
  bool cuda() const { return file_.dialect_ == Dialect::cuda; }
  // What a thread begins with, and how far it goes on: a tape with totals is one block's, whatever
  // stands around it.
  std::string first() const { return tape_.sums.empty() ? "SLIM_FIRST" : "threadIdx.x"; }
  std::string step() const { return tape_.sums.empty() ? "SLIM_STEP" : "blockDim.x"; }
  bool element() const { return file_.entry_ == SourceFile::Entry::element; }
  bool fixed() const { return file_.entry_ == SourceFile::Entry::fixed; }
  const TapeRegister& reg(int32_t i) const { return tape_.registers[static_cast<size_t>(i)]; }

  // The registers that results of these extents are computed from; of full ones, totals too.
  std::vector<bool> needed(std::initializer_list<Extent> extents) const {
    std::vector<bool> live(tape_.registers.size(), false);
    const auto wanted = [&](Extent extent) {
      return std::find(extents.begin(), extents.end(), extent) != extents.end();
    };
    for (size_t i = 0; i < tape_.yields.size(); ++i) {
      if (wanted(tape_.yield_extents[i])) live[tape_.yields[i]] = true;
    }
    // What is read stands before its readers.
    const auto revive = [&](const std::vector<Instruction>& code) {
      for (size_t i = code.size(); i-- > 0;) {
        if (!live[code[i].dst]) continue;
        for (const int32_t src : code[i].src) {
          if (src >= 0) live[src] = true;
        }
      }
    };
    revive(tape_.finale);
    for (const Tape::Sum& sum : tape_.sums) {
      if (wanted(Extent::full)) live[sum.src] = true;
    }
    for (size_t extent = tape_.code.size(); extent-- > 0;) revive(tape_.code[extent]);
    return live;
  }

  std::string times_rows(int64_t factor) const {
    const int64_t per_row = tape_.space.per_row;
    if (per_row == 0) return number(factor);
    return factor * per_row == 1 ? "rows" : "rows * " + number(factor * per_row);
  }

  void line(const std::string& words) { text_ += std::string(2 * depth_, ' ') + words + '\n'; }
  void open(const std::string& words) {
    line(words + " {");
    ++depth_;
  }
  void close() {
    --depth_;
    line("}");
  }

  void head(const std::string& name) {
    std::string words = fixed() ? "" : "int64_t rows", note;
    const auto describe = [&](const std::string& who, Extent extent, const Buffer& buffer) {
      note += (note.empty() ? "" : "; ") + who + ' ' + slim::name_of(buffer.dtype) + ' ' +
              name_of(extent);
    };
    for (size_t i = 0; i < operands_.size(); ++i) {
      const bool given = element() && i == 0;
      words += (given           ? ", int64_t at, const "
                : words.empty() ? "const "
                                : ", const ") +
               c_type(operands_[i].dtype) + (given ? " x" : " *x") + number(int64_t(i));
      for (const TapeRegister& r : tape_.registers) {
        if (r.operand == static_cast<int32_t>(i))
          describe('x' + number(int64_t(i)), r.extent, operands_[i]);
      }
    }
    for (size_t i = 0; i < binding_.results.size(); ++i) {
      words += (words.empty() ? "" : ", ") + c_type(binding_.results[i].dtype) + " *y" +
               number(int64_t(i));
      describe('y' + number(int64_t(i)), tape_.yield_extents[i], binding_.results[i]);
    }
    m_ = times_rows(tape_.space.outer);
    all_ = times_rows(tape_.space.outer * tape_.space.n);
    n_ = number(tape_.space.n);
    line("/* of [" + m_ + ", " + n_ + "]: " + note + " */");
    const bool kernel = file_.entry_ == SourceFile::Entry::kernel;
    const char* qualifier = fixed()   ? "static "
                            : !cuda() ? ""
                            : kernel  ? "extern \"C\" __global__ "
                                      : "static __device__ inline ";
    open(qualifier + ("void " + name) + '(' + words + ')');
    for (size_t i = 0; i < operands_.size(); ++i) {
      const bool read =
          std::any_of(tape_.registers.begin(), tape_.registers.end(), [&](const TapeRegister& r) {
            return r.operand == static_cast<int32_t>(i) && live_[&r - tape_.registers.data()];
          });
      if (!read) line("(void)x" + number(int64_t(i)) + ';');
    }
  }

  // What needs no element: operands that are scalars, the number of rows, and what follows.
  void numbers() {
    for (size_t i = 0; i < live_.size(); ++i) {
      const TapeRegister& r = tape_.registers[i];
      if (!live_[i] || r.source != TapeRegister::Source::rows) continue;
      define(int32_t(i),
             '(' + c_type(r.dtype) + ")(" + c_literal(r.number, DType::f64) + " * (double)rows)");
    }
    load(Extent::scalar);
    run(tape_.code[static_cast<int>(Extent::scalar)]);
    for (size_t i = 0; i < tape_.sums.size(); ++i) {
      line((cuda() ? "double s" : "slim_total s") + number(int64_t(i)) +
           (cuda() ? " = 0;" : " = {0};"));
    }
  }

  void body() {
    live_ = needed({Extent::column, Extent::full});
    if (tape_.sums.empty() && !yields(Extent::column) && !yields(Extent::full)) return;
    const bool split = has(Extent::row) || has(Extent::column) || !tape_.sums.empty();
    const bool chunks = !tape_.sums.empty() && tape_.space.n > kTapeBlock;
    if (cuda()) {
      if (!element()) {
        open("for (int64_t at = " + first() + "; at < " + all_ + "; at += " + step() + ')');
      }
      if (has(Extent::column)) line("const int64_t i = at / " + n_ + ';');
      if (has(Extent::row) || yields(Extent::column)) line("const int64_t j = at % " + n_ + ';');
    } else if (!split) {
      open("for (" + index_ + " at = 0; at < " + all_ + "; ++at)");
    } else {
      const std::string block = number(kTapeBlock);
      if (chunks)
        open("for (" + index_ + " first = 0; first < " + n_ + "; first += " + block + ")");
      open("for (" + index_ + " i = 0; i < " + m_ + "; ++i)");
      columns();
      if (chunks) {
        line("const " + index_ + " rest = " + n_ + " - first, last = first + (rest < " + block +
             " ? rest : " + block + ");");
        open("for (" + index_ + " j = first; j < last; ++j)");
      } else {
        open("for (" + index_ + " j = 0; j < " + n_ + "; ++j)");
      }
      if (has(Extent::full)) line("const " + index_ + " at = i * " + n_ + " + j;");
    }
    if (cuda() && split) columns();
    elements();
    if (!element()) close();
    if (cuda() || !split) return;
    end_block();
    close();
    if (chunks) close();
  }

  void columns() {
    load(Extent::column);
    run(tape_.code[static_cast<int>(Extent::column)]);
    for (size_t i = 0; i < tape_.yields.size(); ++i) {
      if (tape_.yield_extents[i] != Extent::column) continue;
      const std::string words = 'y' + number(int64_t(i)) + '[' + place(binding_.results[i], "i") +
                                "] = " + value(tape_.yields[i]) + ';';
      line(cuda() ? "if (j == 0) " + words : words);
    }
  }

  void elements() {
    load(Extent::row);
    run(tape_.code[static_cast<int>(Extent::row)]);
    load(Extent::full);
    run(tape_.code[static_cast<int>(Extent::full)]);
    for (size_t i = 0; i < tape_.yields.size(); ++i) {
      if (tape_.yield_extents[i] != Extent::full) continue;
      line('y' + number(int64_t(i)) + '[' + place(binding_.results[i], "at") +
           "] = " + value(tape_.yields[i]) + ';');
    }
    for (size_t i = 0; i < tape_.sums.size(); ++i) {
      const std::string sum = 's' + number(int64_t(i)),
                        term = "(double)" + value(tape_.sums[i].src);
      line(cuda() ? sum + " += " + term + ';' : "slim_add(&" + sum + ", " + term + ");");
    }
  }

  void end_block() {
    const int64_t rows = std::max<int64_t>(kTapeBlock / std::max<int64_t>(tape_.space.n, 1), 1);
    for (size_t i = 0; i < tape_.sums.size(); ++i) {
      const std::string when =
          rows == 1 ? "" : "if ((i + 1) % " + number(rows) + " == 0 || i + 1 == " + m_ + ") ";
      line(when + "slim_end_block(&s" + number(int64_t(i)) + ");");
    }
  }

  // Results that only depend on the column: once, after all that reads such operands.
  void store_rows() {
    if (!yields(Extent::row)) return;
    live_ = needed({Extent::row});
    open(cuda() ? "for (int64_t j = " + first() + "; j < " + n_ + "; j += " + step() + ')'
                : "for (" + index_ + " j = 0; j < " + n_ + "; ++j)");
    load(Extent::row);
    run(tape_.code[static_cast<int>(Extent::row)]);
    for (size_t i = 0; i < tape_.yields.size(); ++i) {
      if (tape_.yield_extents[i] != Extent::row) continue;
      line('y' + number(int64_t(i)) + '[' + place(binding_.results[i], "j") +
           "] = " + value(tape_.yields[i]) + ';');
    }
    close();
  }

  // Totals, what is computed from them, and the results that are one number.
  void end() {
    live_ = needed({Extent::scalar});
    for (size_t i = 0; i < tape_.sums.size(); ++i) {
      const std::string sum = 's' + number(int64_t(i));
      line(cuda() ? sum + " = slim_block_sum(" + sum + ");" : "slim_drain(&" + sum + ");");
      if (!live_[tape_.sums[i].dst]) continue;
      const std::string cast = '(' + c_type(reg(tape_.sums[i].dst).dtype) + ')';
      define(tape_.sums[i].dst, cast + sum + (cuda() ? "" : ".total"));
    }
    run(tape_.finale);
    for (size_t i = 0; i < tape_.yields.size(); ++i) {
      if (tape_.yield_extents[i] != Extent::scalar) continue;
      const std::string words = "y" + number(int64_t(i)) + "[0] = " + value(tape_.yields[i]) + ';';
      line(cuda() && !element() ? "if (" + first() + " == 0) " + words : words);
    }
  }

  bool yields(Extent extent) const {
    const std::vector<Extent>& all = tape_.yield_extents;
    return std::find(all.begin(), all.end(), extent) != all.end();
  }

  bool has(Extent extent) const {
    for (size_t i = 0; i < live_.size(); ++i) {
      if (live_[i] && tape_.registers[i].extent == extent) return true;
    }
    return yields(extent);
  }

  // The operands of an extent.
  void load(Extent extent) {
    for (size_t i = 0; i < live_.size(); ++i) {
      const TapeRegister& r = tape_.registers[i];
      if (!live_[i] || r.source != TapeRegister::Source::operand || r.extent != extent) continue;
      if (element() && r.operand == 0) {
        define(int32_t(i), "x0");
        continue;
      }
      const Buffer& buffer = operands_[static_cast<size_t>(r.operand)];
      std::string where;
      if (!r.strides.empty()) {
        where = gather(r);
      } else if (extent == Extent::scalar) {
        where = "0";
      } else if (extent == Extent::column) {
        where = place(buffer, r.repeat > 1 ? "i / " + number(r.repeat) : "i");
      } else {
        where = place(buffer, extent == Extent::row ? "j" : "at");
      }
      define(int32_t(i), 'x' + number(r.operand) + '[' + where + ']');
    }
  }

  // Buffer::at of an index, as text.
  std::string place(const Buffer& buffer, const std::string& index) const {
    if (buffer.row_stride == 0) return index;
    const std::string of = index.find(' ') == index.npos ? index : '(' + index + ')';
    const std::string width = number(buffer.dims.back());
    return of + " / " + width + " * " + number(buffer.row_stride) + " + " + of + " % " + width;
  }

  std::string gather(const TapeRegister& r) const {
    std::string sum;
    int64_t below = 1;  // elements under one index of the axis
    for (size_t axis = r.strides.size(); axis-- > 0; below *= tape_.axes[axis]) {
      if (r.strides[axis] == 0) continue;
      std::string index = below > 1 ? "at / " + number(below) : "at";
      if (axis > 0) index += " % " + number(tape_.axes[axis]);
      if (r.strides[axis] > 1) index += " * " + number(r.strides[axis]);
      sum = index + (sum.empty() ? "" : " + ") + sum;
    }
    return sum.empty() ? "0" : sum;
  }

  void define(int32_t i, const std::string& words) {
    line("const " + c_type(reg(i).dtype) + " r" + number(i) + " = " + words + ';');
  }

  std::string value(int32_t i) const {
    const TapeRegister& r = reg(i);
    if (r.source != TapeRegister::Source::constant) return 'r' + number(i);
    const bool real = r.dtype == DType::f32 || r.dtype == DType::f64;
    return real ? c_literal(r.number, r.dtype) : c_literal(r.integer);
  }

  void run(const std::vector<Instruction>& code) {
    for (const Instruction& instruction : code) {
      if (live_[instruction.dst]) define(instruction.dst, result_of(instruction));
    }
  }

  // As an expression, or as a call of a function that is printed once for all tapes.
  std::string result_of(const Instruction& instruction) {
    const Operation op = instruction.op;
    const DType from = reg(instruction.src[op == Operation::select ? 1 : 0]).dtype;
    const DType to = reg(instruction.dst).dtype;
    std::vector<Term> values, names;
    std::string list, parameters;
    for (const int32_t src : instruction.src) {
      if (src < 0) continue;
      const std::string text = value(src), name(1, "abc"[values.size()]);
      values.push_back(argument(text[0] == '-' ? '(' + text + ')' : text, reg(src).dtype));
      names.push_back(argument(name, reg(src).dtype));
      list += (list.empty() ? "" : ", ") + text;
      parameters += (parameters.empty() ? "" : ", ") + c_type(reg(src).dtype) + ' ' + name;
    }
    const Term inline_term = formula_of(op, from, to, values);
    if (!inline_term) {
      binding_.refuse(std::string("no formula of ") + name_of(op) + " for operands of type " +
                      slim::name_of(from));
    }
    ExpressionPrinter printer;
    const std::string text = printer.print(inline_term);
    if (printer.statements.empty()) return text;
    const std::string name = std::string("slim_") + name_of(op) + '_' + slim::name_of(from);
    if (file_.formulas_.count(name) == 0) {
      ExpressionPrinter body;
      const std::string last = body.print(formula_of(op, from, to, names));
      std::string& function = file_.formulas_[name];
      function = std::string(cuda() ? "static __device__ " : "static ") + c_type(to) + ' ' + name +
                 '(' + parameters + ") {\n";
      for (const std::string& statement : body.statements) function += "  " + statement + '\n';
      function += "  return " + last + ";\n}\n";
    }
    return name + '(' + list + ')';
  }

  SourceFile& file_;
  const Binding& binding_;
  const Tape& tape_;
  const std::vector<Buffer>& operands_;
  std::vector<bool> live_;   // by register: something reads it
  std::string m_, n_, all_;  // sizes of the space, as text
  std::string index_ = file_.entry_ == SourceFile::Entry::fixed ? "int32_t" : "int64_t";
  std::string text_;
  size_t depth_ = 0;
};

void SourceFile::add(const std::string& name, const Binding& binding, const Tape& tape,
                     const std::vector<Buffer>& operands) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0 ||
      !std::all_of(name.begin(), name.end(), fits)) {
    throw std::invalid_argument("a function of C cannot be named " + name +
                                ": use letters, digits and _");
  }
  functions_ += '\n' + TapePrinter(*this, binding, tape, operands).print(name);
}

std::string SourceFile::text() const {
  std::string body;
  for (const auto& [name, text] : formulas_) body += '\n' + text;
  body += functions_;
  return preamble(body, dialect_) + body;
}

}  // namespace slim
