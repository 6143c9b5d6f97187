from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0005_books_tenancy")]

    operations = [
        migrations.AddField(
            model_name="syncrun",
            name="timeline",
            field=models.JSONField(
                blank=True, default=dict, help_text="The calls of the visit, of a few newest runs."
            ),
        ),
    ]
