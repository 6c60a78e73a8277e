// slimlearn without Python: load a saved program, run it, train it, save it. C99.
#ifndef SLIM_H
#define SLIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLIM_API __attribute__((visibility("default")))

typedef enum {
  SLIM_OK = 0,
  SLIM_INVALID,  // an argument, the data or what the file holds
  SLIM_MEMORY,   // there is not enough
  SLIM_SYSTEM,   // the file cannot be read or written
  SLIM_INTERNAL  // a defect of slimlearn
} slim_status;

// Why the last call of this thread that failed did so; until the next one fails.
SLIM_API const char* slim_message(void);

// A program and its arrays. Several threads may run it at a time; while one trains or frees it,
// no other may use it.
typedef struct slim_model slim_model;

// A file of Program.save, of a Checkpoint, or of one estimator's save. It is mapped: replace it,
// never shorten it.
SLIM_API slim_status slim_load(const char* path, slim_model** model);
SLIM_API slim_status slim_save(const slim_model* model, const char* path);
SLIM_API void slim_free(slim_model* model);

typedef enum {
  SLIM_F32 = 0,
  SLIM_F64,
  SLIM_I8,
  SLIM_I16,
  SLIM_I32,
  SLIM_I64,
  SLIM_U8,
  SLIM_U16,
  SLIM_BOOL
} slim_type;

// Row-major. The name is the source's in the program's text, such as "X"; NULL in results.
typedef struct {
  const char* name;
  slim_type type;
  const void* data;
  size_t rank;
  const int64_t* shape;
} slim_array;

// What the program's text declares as hyper, such as "beta1".
typedef struct {
  const char* name;
  double value;
} slim_number;

typedef struct slim_results slim_results;

// Runs a function such as "predict" over all rows, on so many threads at most; 0: as many as
// there are. Their number changes no bit.
SLIM_API slim_status slim_run(const slim_model* model, const char* function,
                              const slim_array* sources, size_t source_count, int threads,
                              slim_results** results);
SLIM_API size_t slim_result_count(const slim_results* results);
// NULL beyond the last one; lives as long as the results.
SLIM_API const slim_array* slim_result(const slim_results* results, size_t index);
SLIM_API void slim_free_results(slim_results* results);

typedef struct {
  int64_t epochs;
  int64_t batch_size;
  double learning_rate;
  const slim_number* hypers;  // all others that the optimizer and the layers read
  size_t hyper_count;
  double clip_norm;   // 0: none
  double clip_value;  // 0: none
  uint32_t seed;
  int shuffle;
  int threads;
} slim_training;

// Trains in place. Epochs and steps are counted from the loading on; the optimizer's arrays are
// the file's, where it has some. `loss` is the mean loss of the last epoch.
SLIM_API slim_status slim_train(slim_model* model, const slim_array* sources, size_t source_count,
                                const slim_training* how, double* loss);

#ifdef __cplusplus
}
#endif

#endif
