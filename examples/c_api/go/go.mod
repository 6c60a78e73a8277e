module example.com/predict

go 1.18
