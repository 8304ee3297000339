DROP TABLE suppression;
DROP TABLE choice_now;
DROP TABLE choice;
DROP TABLE origin;
DROP TABLE sealed_field;
DROP TABLE contact;
