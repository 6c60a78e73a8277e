// What a network says of each row of numbers on stdin: predict digits.slim 64 < rows.txt
#include <slim.h>
#include <stdio.h>
#include <stdlib.h>

static void check(slim_status status) {
  if (status == SLIM_OK) return;
  fprintf(stderr, "%s\n", slim_message());
  exit(1);
}

static double at(const slim_array* a, int64_t i) {
  return a->type == SLIM_F64 ? ((const double*)a->data)[i] : ((const float*)a->data)[i];
}

int main(int count, char** words) {
  if (count != 3) return fprintf(stderr, "predict FILE COLUMNS < ROWS\n"), 2;
  slim_model* model;
  check(slim_load(words[1], &model));

  int64_t columns = atoll(words[2]);
  float* row = malloc((size_t)columns * sizeof *row);
  const int64_t shape[] = {1, columns};
  const slim_array x = {"X", SLIM_F32, row, 2, shape};
  for (int64_t i = 0; row && scanf("%f", &row[i]) == 1;) {
    if (++i < columns) continue;
    slim_results* results;
    check(slim_run(model, "predict_proba", &x, 1, 1, &results));
    const slim_array* p = slim_result(results, 0);
    for (int64_t k = 0; k < p->shape[1]; ++k) printf("%.17g ", at(p, k));
    printf("\n");
    slim_free_results(results);
    i = 0;
  }
  free(row);
  slim_free(model);
  return 0;
}
