// slimlearn without Python: load a saved model, describe it, run it, train it, save it. C99.
#ifndef SLIM_H
#define SLIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLIM_API __attribute__((visibility("default")))

// Rises where a program that was compiled with an older header has to be compiled again.
#define SLIM_API_VERSION 1
// Of the library that runs, which a program may compare with the above.
SLIM_API int slim_api_version(void);

typedef enum {
  SLIM_OK = 0,
  SLIM_INVALID,  // an argument, the data or what the file holds
  SLIM_MEMORY,   // there is not enough
  SLIM_SYSTEM,   // the file cannot be read or written
  SLIM_INTERNAL  // a defect of slimlearn
} slim_status;

// Why the last call of this thread that failed did so; until the next one fails.
SLIM_API const char* slim_message(void);

// ---- Models -------------------------------------------------------------------------------------

// A program and its arrays. Several threads may run it at a time; while one trains or frees it,
// no other may use it.
typedef struct slim_model slim_model;

// What a file from elsewhere may ask for, and is asked for; 0 is no limit, and nothing.
typedef struct {
  int64_t file_bytes;     // its own
  int64_t nodes;          // that its functions compute, all together
  int64_t session_bytes;  // of memory for each session
  int sha256;             // 1: the file has to tell its SHA-256, and to have it
} slim_limits;

// A file of an estimator's save, of Program.save or of a Checkpoint; `limits` may be NULL. It is
// mapped: replace it, never shorten it.
SLIM_API slim_status slim_load(const char* path, const slim_limits* limits, slim_model** model);
// The same from memory, which is copied.
SLIM_API slim_status slim_load_memory(const void* bytes, size_t size, const slim_limits* limits,
                                      slim_model** model);
// The program's arrays as they are now, and what an estimator's save wrote around them.
SLIM_API slim_status slim_save(const slim_model* model, const char* path);
SLIM_API void slim_free(slim_model* model);

// ---- What a model does --------------------------------------------------------------------------

// What a run may be asked for, by number; NULL beyond the last. Of an estimator these are methods
// that give what they give in Python: "predict", "predict_proba", "decision_function",
// "predict_quantiles"; and the program's functions, "program/predict" and so on. Of a program they
// are its functions, under both names.
SLIM_API const char* slim_method(const slim_model* model, size_t index);

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

#define SLIM_MAX_RANK 8
#define SLIM_ROWS (-1)  // an extent: the number of rows
#define SLIM_OPEN (-2)  // an extent that data or the options of a session tell

typedef struct {
  const char* name;  // of a source, such as "X"; NULL of a result. Lives as long as the model
  slim_type type;    // that is computed with: sources of other types are converted
  int sparse;        // whether rows are sparse
  size_t rank;
  int64_t shape[SLIM_MAX_RANK];
} slim_value;

// What a method reads, and what it gives. SLIM_INVALID beyond the last.
SLIM_API slim_status slim_input(const slim_model* model, const char* method, size_t index,
                                slim_value* value);
SLIM_API slim_status slim_output(const slim_model* model, const char* method, size_t index,
                                 slim_value* value);
// The name of a column of a source, as the fit saw it; NULL where the file tells none.
SLIM_API const char* slim_column(const slim_model* model, const char* source, size_t index);
// The label, as text, that a classifier's "predict" means by the code `index`, of its output
// number `output`; NULL beyond the last.
SLIM_API const char* slim_label(const slim_model* model, size_t output, size_t index);

// ---- Data ---------------------------------------------------------------------------------------

// Where the elements of sparse rows stand: those of row i are offsets[i] … offsets[i + 1] - 1, and
// their columns rise.
typedef struct {
  const void* columns;
  slim_type column_type;  // SLIM_I32 or SLIM_I64
  const void* offsets;    // one more than rows
  slim_type offset_type;  // SLIM_I32 or SLIM_I64
} slim_csr;

// Row-major, its rows first. The name is the source's, such as "X"; NULL in results.
typedef struct {
  const char* name;
  slim_type type;
  const void* data;
  size_t rank;
  const int64_t* shape;
  const slim_csr* csr;  // NULL: dense; else data are the stored elements, of SLIM_F32 or SLIM_F64
} slim_array;

// ---- Running ------------------------------------------------------------------------------------

// One call, of any number of rows, on so many threads at most; 0: as many as there are. Their
// number changes no bit.
typedef struct slim_results slim_results;
SLIM_API slim_status slim_run(const slim_model* model, const char* method,
                              const slim_array* sources, size_t source_count, int threads,
                              slim_results** results);
SLIM_API size_t slim_result_count(const slim_results* results);
// NULL beyond the last one; lives as long as the results.
SLIM_API const slim_array* slim_result(const slim_results* results, size_t index);
SLIM_API void slim_free_results(slim_results* results);

// Many calls: all memory is taken when the session is made, and a run that ends well allocates
// nothing. A session serves one thread at a time; a model has as many as wanted. It ends before
// its model, and is made anew after training.
typedef struct slim_session slim_session;

typedef struct {
  const char* name;  // of an open dimension, such as "T"
  int64_t size;
} slim_size;

typedef struct {
  int64_t rows;    // the most of a run; 0: 1
  int threads;     // the most that a run takes; 0: 1
  int64_t stored;  // the most elements that each sparse source of a run may store
  const slim_size* sizes;
  size_t size_count;
} slim_session_options;

// `options` may be NULL. One row at a time is fastest by a session for one row.
SLIM_API slim_status slim_session_new(const slim_model* model, const char* method,
                                      const slim_session_options* options, slim_session** session);
SLIM_API slim_status slim_session_run(slim_session* session, const slim_array* sources,
                                      size_t source_count);
// What the last run gave, until the next; NULL beyond the last one and before the first run.
SLIM_API const slim_array* slim_session_result(const slim_session* session, size_t index);
SLIM_API void slim_session_free(slim_session* session);

// ---- Training -----------------------------------------------------------------------------------

// What the program's text declares as hyper, such as "beta1".
typedef struct {
  const char* name;
  double value;
} slim_number;

typedef struct {
  int64_t epochs;  // of slim_train
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

// The same, some epochs at a time: the sources, which it borrows, and the model outlive it.
typedef struct slim_trainer slim_trainer;
SLIM_API slim_status slim_trainer_new(slim_model* model, const slim_array* sources,
                                      size_t source_count, const slim_training* how,
                                      slim_trainer** trainer);
SLIM_API slim_status slim_trainer_run(slim_trainer* trainer, int64_t epochs, double learning_rate,
                                      double* loss);
SLIM_API void slim_trainer_free(slim_trainer* trainer);

#ifdef __cplusplus
}
#endif

#endif
