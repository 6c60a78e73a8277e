// The label and the probabilities of each row of numbers on stdin: predict iris.slim < rows.txt
#include <cstdio>
#include <iostream>
#include <slim.hpp>
#include <vector>

int main(int count, char** words) try {
  if (count != 2) return std::fprintf(stderr, "predict FILE < ROWS\n"), 2;
  const slim::Model model(words[1]);
  slim::Session label(model, "predict"), proba(model, "predict_proba");
  const std::vector<std::string> labels = model.labels();
  const std::int64_t columns = model.input("predict").shape[1];

  std::vector<double> row;
  for (double number; std::cin >> number;) {
    row.push_back(number);
    if (static_cast<std::int64_t>(row.size()) < columns) continue;
    const slim::Array x("X", row.data(), {1, columns});
    const std::int64_t code = *label.run(x).data<std::int64_t>();
    std::printf("%s", labels.at(static_cast<std::size_t>(code)).c_str());
    const slim::View p = proba.run(x);
    for (std::size_t k = 0; k < p.size(); ++k) std::printf(" %.17g", p.data<double>()[k]);
    std::printf("\n");
    row.clear();
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
