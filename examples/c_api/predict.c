// The label and the probabilities of each row of numbers on stdin: predict iris.slim < rows.txt
#include <slim.h>
#include <stdio.h>
#include <stdlib.h>

static void check(slim_status status) {
  if (status == SLIM_OK) return;
  fprintf(stderr, "%s\n", slim_message());
  exit(1);
}

int main(int count, char** words) {
  if (count != 2) return fprintf(stderr, "predict FILE < ROWS\n"), 2;
  slim_model* model;
  slim_session *label, *proba;
  slim_value input;
  check(slim_load(words[1], NULL, &model));
  check(slim_session_new(model, "predict", NULL, &label));
  check(slim_session_new(model, "predict_proba", NULL, &proba));
  check(slim_input(model, "predict", 0, &input));

  int64_t columns = input.shape[1];
  double* row = malloc((size_t)columns * sizeof *row);
  const int64_t shape[] = {1, columns};
  const slim_array x = {input.name, SLIM_F64, row, 2, shape, NULL};
  for (int64_t i = 0; row && scanf("%lf", &row[i]) == 1;) {
    if (++i < columns) continue;
    check(slim_session_run(label, &x, 1));
    check(slim_session_run(proba, &x, 1));
    const int64_t* code = slim_session_result(label, 0)->data;
    const slim_array* p = slim_session_result(proba, 0);
    printf("%s", slim_label(model, 0, (size_t)*code));
    for (int64_t k = 0; k < p->shape[1]; ++k) printf(" %.17g", ((const double*)p->data)[k]);
    printf("\n");
    i = 0;
  }
  free(row);
  slim_session_free(label);
  slim_session_free(proba);
  slim_free(model);
  return 0;
}
