module headgate.test/testbed/pause

go 1.26
