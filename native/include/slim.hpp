// slim.h for C++17: what is loaded or made frees itself, and what fails throws slim::Error.
#ifndef SLIM_HPP
#define SLIM_HPP

#include <slim.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace slim {

struct Error : std::runtime_error {
  explicit Error(slim_status status) : std::runtime_error(slim_message()), status(status) {}
  slim_status status;
};

inline void check(slim_status status) {
  if (status != SLIM_OK) throw Error(status);
}

template <class T>
constexpr slim_type type_of();
template <>
constexpr slim_type type_of<float>() {
  return SLIM_F32;
}
template <>
constexpr slim_type type_of<double>() {
  return SLIM_F64;
}
template <>
constexpr slim_type type_of<std::int8_t>() {
  return SLIM_I8;
}
template <>
constexpr slim_type type_of<std::int16_t>() {
  return SLIM_I16;
}
template <>
constexpr slim_type type_of<std::int32_t>() {
  return SLIM_I32;
}
template <>
constexpr slim_type type_of<std::int64_t>() {
  return SLIM_I64;
}
template <>
constexpr slim_type type_of<std::uint8_t>() {
  return SLIM_U8;
}
template <>
constexpr slim_type type_of<std::uint16_t>() {
  return SLIM_U16;
}
template <>
constexpr slim_type type_of<bool>() {
  return SLIM_BOOL;
}

// A source of rows: it borrows the name and the data, and keeps the shape.
class Array {
 public:
  template <class T>
  Array(const char* name, const T* data, std::initializer_list<std::int64_t> shape)
      : shape_(shape), array_{name, type_of<T>(), data, shape_.size(), nullptr, nullptr} {}
  // Sparse rows: `data` are their stored elements.
  template <class T, class Column, class Offset>
  Array(const char* name, const T* data, const Column* columns, const Offset* offsets,
        std::int64_t rows, std::int64_t width)
      : shape_{rows, width},
        csr_(new slim_csr{columns, type_of<Column>(), offsets, type_of<Offset>()}),
        array_{name, type_of<T>(), data, 2, nullptr, nullptr} {}

  slim_array get() const {
    slim_array array = array_;
    array.shape = shape_.data();
    array.csr = csr_.get();
    return array;
  }

 private:
  std::vector<std::int64_t> shape_;
  std::shared_ptr<const slim_csr> csr_;
  slim_array array_;
};

// A result, valid as long as what gave it.
class View {
 public:
  explicit View(const slim_array* array) : array_(array) {
    if (array == nullptr) throw std::out_of_range("slim: there is no such result");
  }
  slim_type type() const { return array_->type; }
  std::vector<std::int64_t> shape() const { return {array_->shape, array_->shape + array_->rank}; }
  std::size_t size() const {
    std::size_t count = 1;
    for (std::size_t i = 0; i < array_->rank; ++i)
      count *= static_cast<std::size_t>(array_->shape[i]);
    return count;
  }
  template <class T>
  const T* data() const {
    if (type_of<T>() != array_->type) throw std::invalid_argument("slim: a result of another type");
    return static_cast<const T*>(array_->data);
  }

 private:
  const slim_array* array_;
};

class Model {
 public:
  explicit Model(const std::string& path, const slim_limits* limits = nullptr) {
    slim_model* model = nullptr;
    check(slim_load(path.c_str(), limits, &model));
    model_.reset(model);
  }
  Model(const void* bytes, std::size_t size, const slim_limits* limits = nullptr) {
    slim_model* model = nullptr;
    check(slim_load_memory(bytes, size, limits, &model));
    model_.reset(model);
  }
  slim_model* get() const { return model_.get(); }

  std::vector<std::string> methods() const {
    std::vector<std::string> names;
    while (const char* name = slim_method(get(), names.size())) names.emplace_back(name);
    return names;
  }
  std::vector<std::string> labels(std::size_t output = 0) const {
    std::vector<std::string> texts;
    while (const char* text = slim_label(get(), output, texts.size())) texts.emplace_back(text);
    return texts;
  }
  slim_value input(const std::string& method, std::size_t index = 0) const {
    slim_value value;
    check(slim_input(get(), method.c_str(), index, &value));
    return value;
  }
  slim_value output(const std::string& method, std::size_t index = 0) const {
    slim_value value;
    check(slim_output(get(), method.c_str(), index, &value));
    return value;
  }
  void save(const std::string& path) const { check(slim_save(get(), path.c_str())); }

 private:
  struct Free {
    void operator()(slim_model* model) const { slim_free(model); }
  };
  std::unique_ptr<slim_model, Free> model_;
};

// Of one thread; ends before its model.
class Session {
 public:
  Session(const Model& model, const std::string& method, const slim_session_options& options = {}) {
    slim_session* session = nullptr;
    check(slim_session_new(model.get(), method.c_str(), &options, &session));
    session_.reset(session);
  }
  // What it gives is there until the next run.
  View run(const Array& source) {
    const slim_array array = source.get();
    check(slim_session_run(session_.get(), &array, 1));
    return result();
  }
  View run(std::initializer_list<Array> sources) {
    arrays_.clear();
    for (const Array& source : sources) arrays_.push_back(source.get());
    check(slim_session_run(session_.get(), arrays_.data(), arrays_.size()));
    return result();
  }
  View result(std::size_t index = 0) const {
    return View(slim_session_result(session_.get(), index));
  }

 private:
  struct Free {
    void operator()(slim_session* session) const { slim_session_free(session); }
  };
  std::unique_ptr<slim_session, Free> session_;
  std::vector<slim_array> arrays_;
};

// Ends before its model and its data.
class Trainer {
 public:
  Trainer(Model& model, const std::vector<Array>& sources, const slim_training& how) {
    std::vector<slim_array> arrays;
    for (const Array& source : sources) arrays.push_back(source.get());
    slim_trainer* trainer = nullptr;
    check(slim_trainer_new(model.get(), arrays.data(), arrays.size(), &how, &trainer));
    trainer_.reset(trainer);
  }
  // The mean loss of the last epoch.
  double run(std::int64_t epochs, double learning_rate) {
    double loss = 0;
    check(slim_trainer_run(trainer_.get(), epochs, learning_rate, &loss));
    return loss;
  }

 private:
  struct Free {
    void operator()(slim_trainer* trainer) const { slim_trainer_free(trainer); }
  };
  std::unique_ptr<slim_trainer, Free> trainer_;
};

}  // namespace slim

#endif
