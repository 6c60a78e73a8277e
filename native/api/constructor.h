// Constructors of Python classes that bear a failing allocation.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace slim {

// In place of py::init<Args...>(): pybind11 makes an object known
// after it has left the block that translates exceptions, so that memory which ends just there
// would end the process.
template <class... Args, class Class, class... Extra>
void def_constructor(Class& to, const Extra&... extra) {
  namespace py = pybind11;
  using Holder = typename Class::holder_type;
  const auto construct = [](py::detail::value_and_holder& place, Args... args) {
    Holder made(new typename Class::type(std::forward<Args>(args)...));
    place.value_ptr() = made.get();
    try {
      place.type->init_instance(place.inst, &made);
    } catch (...) {
      place.value_ptr() = nullptr;  // it goes with its holder
      throw;
    }
  };
  to.def("__init__", construct, py::detail::is_new_style_constructor(), extra...);
}

}  // namespace slim
