// The label and the probabilities of each row of numbers on stdin: java Predict iris.slim < rows.txt

import java.util.Scanner;

public final class Predict {
    public static void main(String[] words) {
        if (words.length != 1) {
            System.err.println("java Predict FILE < ROWS");
            System.exit(2);
        }
        try (Slim.Model model = new Slim.Model(words[0]);
                Slim.Session label = model.session("predict");
                Slim.Session proba = model.session("predict_proba");
                Scanner numbers = new Scanner(System.in)) {
            double[] row = new double[model.columns("predict")];
            for (int i = 0; numbers.hasNext(); ) {
                row[i] = Double.parseDouble(numbers.next());
                if (++i < row.length) {
                    continue;
                }
                StringBuilder line = new StringBuilder(model.label((int) label.run(row)[0]));
                for (double p : proba.run(row)) {
                    line.append(' ').append(p);
                }
                System.out.println(line);
                i = 0;
            }
        } catch (IllegalStateException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
