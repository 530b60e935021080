defmodule SessionStore.Application do
  @moduledoc false
  use Application

  # The store may be killed more often than a supervisor puts up with by default: nothing is lost by it.
  @supervisor [strategy: :one_for_one, max_restarts: 1000, name: SessionStore.Supervisor]

  @impl true
  def start(_type, _args) do
    with {:ok, supervisor} <- Supervisor.start_link([SessionStore], @supervisor),
         {:ok, httpd} <- SessionStore.Web.start(),
         do: {:ok, supervisor, httpd}
  end

  @impl true
  def stop(httpd), do: :inets.stop(:httpd, httpd)
end
