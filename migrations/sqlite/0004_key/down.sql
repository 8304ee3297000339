DROP TABLE sealed_key;
