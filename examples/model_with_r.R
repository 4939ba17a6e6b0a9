# Read features.csv with its codebook and fit a logistic regression on the first component.
# Usage: Rscript model_with_r.R features.csv codebook.csv clinical.csv label
paths <- commandArgs(trailingOnly = TRUE)
table <- read.csv(paths[1], colClasses = c(patient_id = "character"))
codebook <- read.csv(paths[2])
clinical <- read.csv(paths[3], colClasses = c(patient_id = "character"))
names <- codebook$name[!codebook$family %in% c("id", "quality", "provenance")]
table <- table[table$roi == table$roi[1], ]  # one region, if there are several
table <- merge(table[table$qc_status %in% c("pass", "warn"), ], clinical, by = "patient_id")
x <- table[names]
x <- as.data.frame(lapply(x, function(column) {  # medians stand for missing values
  column[is.na(column)] <- median(column, na.rm = TRUE)
  column
}))
x <- x[sapply(x, function(column) !anyNA(column) && sd(column) > 0)]
if (anyDuplicated(table$patient_id)) {
  stop("a patient has several scans, which a plain glm takes for several patients")
}
first <- prcomp(x, scale. = TRUE)$x[, 1]
print(summary(glm(factor(table[[paths[4]]]) ~ first, family = binomial)))
