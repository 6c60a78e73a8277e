// Any bytes as the text of a program: refused, or printed as they were read, planned and run.
#include "ir/text.h"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "small_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto model = std::make_shared<const slim::Model>(text, "generic");
    const std::string printed = slim::print(model->program());
    if (slim::print(slim::parse(printed)) != printed) {
      std::fputs(printed.c_str(), stderr);
      std::abort();
    }
    for (const slim::Function& function : model->program().functions) {
      for (const int64_t rows : {1, 3}) {
        try {
          if (function.name == "update") {
            model->update_plan(rows * 64);
          } else {
            slim::Symbols sizes;
            for (const std::string& symbol : model->symbols(function.name)) sizes[symbol] = 2;
            slim::run_small(model, function, rows, sizes);
          }
        } catch (const std::invalid_argument&) {
        }
      }
    }
  } catch (const std::invalid_argument&) {
  } catch (const std::bad_alloc&) {
  }
  return 0;
}
