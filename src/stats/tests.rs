//! Published worked examples, independent packages, invariances, and the coverage of intervals.

mod agreement;
mod comparisons;
mod judged;
mod resampling;
