from maskgen.masking.reference import predict
