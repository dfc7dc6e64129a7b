//! Figures with intervals, paired tests, corrections for many tests.
mod bootstrap;
mod correction;
mod cross_validation;
mod dense;
mod figure;
mod interval;
mod logistic;
mod normal;
mod paired;
mod resample;
mod student;
mod summary;

pub use bootstrap::{Bootstrap, BootstrapKind};
pub use correction::{benjamini_hochberg, holm};
pub use cross_validation::{choose_c, default_grid, held_out_losses};
pub use figure::{Figure, Method};
pub use interval::{clustered_mean, mean_interval, normal_interval, t_interval, wilson, wilson_at};
pub use logistic::{Logistic, LogisticRows, sigmoid, softplus};
pub use normal::{normal_cdf, normal_quantile};
pub use paired::{Test, paired_t, sign_flip_test, sign_test, wilcoxon_signed_rank};
pub use student::{student_cdf, student_quantile};
pub use summary::{mean, quantile, sample_sd, standard_error};

pub(crate) use dense::{cholesky, solve_factored};
pub(crate) use interval::{cluster_means, share_interval};
pub(crate) use normal::two_sided as two_sided_normal;
pub(crate) use resample::{redraw_counts, row as resample_row};
