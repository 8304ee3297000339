//! Checkpoints outside the database: kept, compared, and what happens when they disagree.

mod bucket;

mod kept;

mod split;

mod timestamp;

mod verdict;

use fieldgate::cli::Client;

/// Status and problem code of a page of offers.
async fn page(client: &mut Client) -> (u16, String) {
    match client.get("offers", "/v1/leads?purpose=offers&limit=1").await {
        Ok(answer) => (answer.status, answer.text),
        Err(error) => (0, error.to_string()),
    }
}
