//! Reads many things, a few at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::GraphError;

/// How many requests are open at the same time.
const AT_ONCE: usize = 8;
/// After this time, no further item is read.
const PATIENCE: Duration = Duration::from_mins(5);

/// Reads each item and returns the results in the order of the items. Once an error `ends` the reading, or it
/// takes too long, no further item is read, and each of the rest gets that error. `done` is called after each item.
pub async fn read_each<T, R, F>(
    items: Vec<T>,
    read: impl Fn(T) -> F,
    ends: impl Fn(&GraphError) -> bool,
    done: &mut dyn FnMut(),
) -> Vec<Result<R, GraphError>>
where
    R: Send + 'static,
    F: Future<Output = Result<R, GraphError>> + Send + 'static,
{
    let number = items.len();
    let mut results = BTreeMap::new();
    let mut waiting = items.into_iter().enumerate();
    let mut open = JoinSet::new();
    let mut ended = None;
    let begun = Instant::now();
    loop {
        if begun.elapsed() > PATIENCE && ended.is_none() {
            ended = Some(GraphError::Unreachable(format!(
                "Microsoft Graph is too slow: not everything was read within {} minutes; try again later",
                PATIENCE.as_secs() / 60
            )));
        }
        while open.len() < AT_ONCE
            && ended.is_none()
            && let Some((index, item)) = waiting.next()
        {
            let future = read(item);
            open.spawn(async move { (index, future.await) });
        }
        let Some(joined) = open.join_next().await else {
            break;
        };
        let (index, result) = joined.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("nothing cancels a task"),
        });
        if let Err(error) = &result
            && ends(error)
        {
            ended = Some(error.clone());
        }
        results.insert(index, result);
        done();
    }
    let result = |index| {
        let rest = || ended.clone().map(Err);
        results.remove(&index).or_else(rest)
    };
    let results = (0..number).map_while(result);
    results.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_have_the_order_of_the_items_and_few_are_open_at_once() {
        let open = Arc::new(AtomicUsize::new(0));
        let highest = Arc::new(AtomicUsize::new(0));
        let mut calls = 0;
        let read = |item: u64| {
            let (open, highest) = (open.clone(), highest.clone());
            async move {
                highest.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(100 - item)).await;
                open.fetch_sub(1, Ordering::SeqCst);
                Ok(item)
            }
        };

        let results = read_each((0..40).collect(), read, |_| true, &mut || calls += 1).await;

        let expected: Vec<_> = (0..40).map(Ok).collect();
        assert_eq!((results, calls), (expected, 40));
        assert_eq!(highest.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_some_minutes_the_rest_is_left_out() {
        let read = |item: u64| async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(item)
        };

        let results = read_each((0..100).collect(), read, |_| true, &mut || {}).await;

        let read = results.iter().filter(|it| it.is_ok()).count();
        assert!((24..48).contains(&read), "{read}");
        let error = results[99].clone().unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        assert!(error.to_string().contains("within 5 minutes"), "{error}");
    }

    #[tokio::test]
    async fn an_error_that_ends_the_reading_is_that_of_the_rest() {
        let started = Arc::new(AtomicUsize::new(0));
        let read = |item: usize| {
            started.fetch_add(1, Ordering::SeqCst);
            async move {
                match item {
                    3 => Err(GraphError::NotFound("gone".into())),
                    9 => Err(GraphError::Unreachable("down".into())),
                    _ => Ok(item),
                }
            }
        };

        let results = read_each(
            (0..100).collect(),
            read,
            GraphError::is_unreachable,
            &mut || {},
        )
        .await;

        assert_eq!(results.len(), 100);
        assert!(started.load(Ordering::SeqCst) < 30, "{started:?}");
        assert_eq!(results[3], Err(GraphError::NotFound("gone".into())));
        assert_eq!(results[99], Err(GraphError::Unreachable("down".into())));
        assert_eq!(results[0], Ok(0));
    }
}
