import time, numpy as np
from edge_converter import Recipe, build
from edge_converter.datasets import open_dataset
from edge_converter.steps.train import train
from edge_converter.streaming import stack
def test_b(project, tmp_path):
    import keras
    r=project(tmp_path)
    for std in (2550.,25500.,255000.):
      for lr in (1e-3,3e-3,1e-2):
        for seed in (0,7):
            rec=Recipe.load(r,{"train.learning_rate":lr,"train.epochs":3,"data.split":[0.6,.2,.2],"input.std":[std],"seed":seed})
            d=open_dataset(rec)
            h=train(rec,d,tmp_path/"m.keras",lambda _:None)
            m=keras.models.load_model(tmp_path/"m.keras")
            p=m.predict(stack(d.test,rec.input),verbose=0); y=np.array([q.label for q in d.test])
            s=np.sort(p,1); print(std,lr,seed,"acc",(p.argmax(1)==y).mean(),"margin max",(s[:,-1]-s[:,-2]).max()*256,"range",np.ptp(p)*256, flush=True)
