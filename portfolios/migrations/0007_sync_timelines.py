from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0006_progress_of_runs")]

    operations = [
        migrations.AddField(
            model_name="syncrun",
            name="timeline",
            field=models.JSONField(
                blank=True, default=dict, help_text="The calls of the visit, of a few newest runs."
            ),
        ),
    ]
