// Runs models for slim.h: once, and again and again in a session.
#include "runtime/call/session.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "api/c/model.h"
#include "runtime/call/forward.h"
#include "runtime/data/bind.h"
#include "runtime/train/hypers.h"

namespace {

using slim::Arena;
using slim::Outputs;

// An array that a caller is shown, and its memory.
struct Result {
  std::vector<int64_t> shape;
  Arena data;
  slim_array array = {};

  void show(slim_type type) {
    array = {nullptr, type, data.data(), shape.size(), shape.data(), nullptr};
  }
};

int64_t bytes_of(const std::vector<int64_t>& shape, int64_t element) {
  for (const int64_t extent : shape) element *= extent;
  return element;
}

// [rows, …] of what a step makes of a function's numbers.
std::vector<int64_t> shape_after(const Outputs& outputs, Outputs::Step step, int64_t rows) {
  std::vector<int64_t> shape = outputs.shape_of(step);
  shape.insert(shape.begin(), rows);
  return shape;
}

}  // namespace

struct slim_results {
  std::vector<Result> list;
};

namespace {

std::unique_ptr<slim_results> run_once(const slim_model& model, const Outputs::Method& method,
                                       const std::vector<slim::Source>& sources, int threads) {
  require_hypers(*model.model, method.function, {});
  slim::ForwardOptions options;
  options.rows = rows_of_call(model.model->function(method.function), sources, 0);
  options.threads = std::max(threads, 0);
  slim::Forward forward(model.model, method.function, sources, {}, options, model.arrays(),
                        hypers_of(*model.model, {}));
  auto results = std::make_unique<slim_results>();
  for (slim::Returned& returned : forward.returns()) {
    Result& result = results->list.emplace_back();
    result.shape = returned.shape;
    result.data = Arena(bytes_of(returned.shape, slim::size_of(returned.dtype)));
    returned.data = result.data.data();
  }
  slim::c::refuse_bad_data(forward.run());
  if (method.step != Outputs::Step::none) {
    Result& raw = results->list[0];
    Result after;
    after.shape = shape_after(model.outputs, method.step, options.rows);
    after.data = Arena(bytes_of(after.shape, 8));
    model.outputs.apply(method.step, reinterpret_cast<double*>(raw.data.data()), options.rows,
                        after.data.data());
    raw = std::move(after);
  }
  // Only now do the shapes stay where they are.
  for (size_t i = 0; i < results->list.size(); ++i) {
    slim_type type = slim::c::type_of(forward.returns()[i].dtype);
    if (method.step != Outputs::Step::none) {
      type = model.outputs.is_classifier() ? SLIM_I64 : SLIM_F64;
    }
    results->list[i].show(type);
  }
  return results;
}

}  // namespace

struct slim_session {
  slim_session(const slim_model& model, const std::string& name,
               const slim_session_options& options);
  void run(const slim_array* arrays, size_t count);

  // From beginning to end of a run, however it ends.
  struct Turn {
    explicit Turn(std::atomic<bool>& busy) : busy(busy) {
      if (busy.exchange(true, std::memory_order_acquire)) {
        throw std::invalid_argument(
            "this session is running in another thread: make a session for each");
      }
    }
    ~Turn() { busy.store(false, std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    std::atomic<bool>& busy;
  };

  const slim_model& model;
  const Outputs::Method& method;
  const uint64_t trained;  // when it was made
  std::unique_ptr<slim::Session> session;
  std::vector<slim::Session::Given> given;
  std::vector<Arena> raw;          // of the function
  std::vector<std::byte*> places;  // of these
  std::vector<Result> results;     // of the method
  bool has_run = false;
  std::atomic<bool> busy = false;

 private:
  int64_t take(const slim_array* arrays, size_t count);
};

slim_session::slim_session(const slim_model& model, const std::string& name,
                           const slim_session_options& options)
    : model(model), method(model.method(name)), trained(model.trained) {
  slim::SessionOptions wish;
  wish.rows = options.rows == 0 ? 1 : options.rows;
  wish.threads = options.threads == 0 ? 1 : std::max(options.threads, 1);
  wish.stored = options.stored;
  wish.bytes = model.limits.session_bytes;
  wish.widths = model.widths;
  if (options.stored < 0) throw std::invalid_argument("the option stored is 0 or more");
  slim::c::require(options.sizes != nullptr || options.size_count == 0, "sizes");
  for (size_t i = 0; i < options.size_count; ++i) {
    slim::c::require(options.sizes[i].name != nullptr, "a size's name");
    wish.sizes[options.sizes[i].name] = options.sizes[i].size;
  }
  require_hypers(*model.model, method.function, {});
  session = std::make_unique<slim::Session>(model.model, method.function, wish, model.arrays(),
                                            hypers_of(*model.model, {}), model.packed);
  given.resize(session->sources().size());
  for (size_t i = 0; i < session->returns().size(); ++i) {
    const slim::Buffer& buffer = session->returns()[i];
    std::vector<int64_t> shape = buffer.dims;
    if (!shape.empty()) shape[0] = session->extent(i, wish.rows);
    raw.emplace_back(bytes_of(shape, slim::size_of(buffer.dtype)));
    Result& result = results.emplace_back();
    result.shape = shape;
    slim_type type = slim::c::type_of(buffer.dtype);
    if (method.step != Outputs::Step::none) {
      result.shape = shape_after(model.outputs, method.step, wish.rows);
      result.data = Arena(bytes_of(result.shape, 8));
      places.push_back(raw.back().data());
      type = model.outputs.is_classifier() ? SLIM_I64 : SLIM_F64;
    } else {
      result.data = std::move(raw.back());
      places.push_back(result.data.data());
    }
    result.show(type);
  }
  for (Result& result : results) result.array.shape = result.shape.data();
}

// What the sources are, in the session's order; how many rows they have.
int64_t slim_session::take(const slim_array* arrays, size_t count) {
  slim::c::require(arrays != nullptr || count == 0, "sources");
  int64_t rows = -1;
  for (size_t i = 0; i < given.size(); ++i) {
    const slim::SessionSource& source = session->sources()[i];
    const auto refuse = [&](const std::string& why) {
      throw std::invalid_argument("source " + source.name + why);
    };
    const slim_array* array = nullptr;
    for (size_t k = 0; k < count && array == nullptr; ++k) {
      slim::c::require(arrays[k].name != nullptr, "a source's name");
      if (source.name == arrays[k].name) array = arrays + k;
    }
    if (array == nullptr) refuse(" is missing");
    slim::c::check(*array);
    const size_t free = source.by_row ? 1 : 0;
    if (array->rank != source.shape.size() ||
        !std::equal(source.shape.begin() + static_cast<std::ptrdiff_t>(free), source.shape.end(),
                    array->shape + free)) {
      std::string needed, got;
      for (size_t k = 0; k < source.shape.size(); ++k) {
        needed += (k > 0 ? ", " : "") + (k < free ? "rows" : std::to_string(source.shape[k]));
      }
      for (size_t k = 0; k < array->rank; ++k) {
        got += (k > 0 ? ", " : "") + std::to_string(array->shape[k]);
      }
      refuse(" has the shape (" + got + "), this session needs (" + needed + ")");
    }
    if (source.sparse != (array->csr != nullptr)) {
      refuse(source.sparse ? " is dense, needed are sparse rows: give its csr"
                           : " has sparse rows, needed are dense ones: csr is NULL for these");
    }
    if (source.by_row) {
      if (rows >= 0 && array->shape[0] != rows) refuse(" has another number of rows");
      rows = array->shape[0];
    }
    given[i].type = static_cast<slim::SourceType>(array->type);
    given[i].data = static_cast<const std::byte*>(array->data);
    if (source.sparse) given[i].csr = slim::c::csr_of(*array, rows);
  }
  return rows < 0 ? 1 : rows;
}

void slim_session::run(const slim_array* arrays, size_t count) {
  const Turn turn(busy);
  if (trained != model.trained) {
    throw std::invalid_argument(
        "the model was trained since this session was made: make a new one");
  }
  has_run = false;
  const int64_t rows = take(arrays, count);
  slim::c::refuse_bad_data(session->run(given.data(), rows, places.data()));
  for (size_t i = 0; i < results.size(); ++i) {
    Result& result = results[i];
    if (method.step != Outputs::Step::none) {
      result.shape[0] = rows;
      model.outputs.apply(method.step, reinterpret_cast<double*>(places[i]), rows,
                          result.data.data());
    } else if (!result.shape.empty()) {
      result.shape[0] = session->extent(i, rows);
    }
  }
  has_run = true;
}

slim_status slim_run(const slim_model* model, const char* method, const slim_array* sources,
                     size_t source_count, int threads, slim_results** results) {
  return slim::c::guarded([&] {
    slim::c::require(model != nullptr, "model");
    slim::c::require(method != nullptr, "method");
    slim::c::require(results != nullptr, "results");
    *results = nullptr;
    *results =
        run_once(*model, model->method(method), slim::c::sources_of(sources, source_count), threads)
            .release();
  });
}

size_t slim_result_count(const slim_results* results) {
  return results != nullptr ? results->list.size() : 0;
}

const slim_array* slim_result(const slim_results* results, size_t index) {
  return index < slim_result_count(results) ? &results->list[index].array : nullptr;
}

void slim_free_results(slim_results* results) { delete results; }

slim_status slim_session_new(const slim_model* model, const char* method,
                             const slim_session_options* options, slim_session** session) {
  return slim::c::guarded([&] {
    slim::c::require(model != nullptr, "model");
    slim::c::require(method != nullptr, "method");
    slim::c::require(session != nullptr, "session");
    *session = nullptr;
    const slim_session_options none = {};
    *session = new slim_session(*model, method, options != nullptr ? *options : none);
  });
}

slim_status slim_session_run(slim_session* session, const slim_array* sources,
                             size_t source_count) {
  return slim::c::guarded([&] {
    slim::c::require(session != nullptr, "session");
    session->run(sources, source_count);
  });
}

const slim_array* slim_session_result(const slim_session* session, size_t index) {
  if (session == nullptr || !session->has_run || index >= session->results.size()) return nullptr;
  return &session->results[index].array;
}

void slim_session_free(slim_session* session) { delete session; }
