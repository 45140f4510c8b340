//! Threads that compute whole micro-batches side by side.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A few lanes; what a lane computes runs on its one thread alone.
pub struct Lanes {
    pools: Vec<ThreadPool>,
}

impl Lanes {
    /// As many lanes as there are threads (`RAYON_NUM_THREADS`), but no more than `work`. A single piece of work may
    /// use all threads itself and gets no lane.
    pub fn new(work: usize) -> Result<Self> {
        let lanes = if work > 1 { rayon::current_num_threads().min(work) } else { 0 };
        let pools = (0..lanes)
            .map(|lane| ThreadPoolBuilder::new().num_threads(1).thread_name(move |_| format!("lane-{lane}")).build())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::failed("cannot start a thread").source(source))?;
        Ok(Self { pools })
    }

    /// `each` of all items, in order.
    pub fn map<T: Sync, R: Send>(&self, items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
        if self.pools.len() < 2 {
            return items.iter().map(each).collect();
        }
        let each = &each;
        let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
        std::thread::scope(|scope| {
            let share = items.len().div_ceil(self.pools.len());
            let shares = items.chunks(share).zip(results.chunks_mut(share));
            for ((items, results), pool) in shares.zip(&self.pools) {
                scope.spawn(move || {
                    pool.install(|| {
                        for (item, result) in items.iter().zip(results) {
                            *result = Some(each(item));
                        }
                    });
                });
            }
        });
        results.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_and_in_order() {
        for count in 0..7 {
            let items: Vec<usize> = (0..count).collect();
            let lanes = Lanes::new(count).unwrap();
            assert_eq!(lanes.map(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
